// Drive basic-ftp as a script would: node basic_ftp.js LIBRARY JSON
const { Client } = require(process.argv[2]);
const job = JSON.parse(process.argv[3]);
const fs = require("fs");

(async () => {
    const client = new Client(30000);
    const said = {};
    try {
        await client.access({
            host: "127.0.0.1", port: job.port, user: job.user, password: job.password, secure: job.secure,
            secureOptions: { ca: fs.readFileSync(job.certificate) },
        });
        for (const [call, ...words] of job.calls) said[`${call} ${words[0]}`] = await client[call](...words);
        console.log(JSON.stringify(said));
    } catch (error) {
        console.error(`${error.code} ${error.message}`);
        process.exitCode = 1;
    } finally {
        client.close();
    }
})();
