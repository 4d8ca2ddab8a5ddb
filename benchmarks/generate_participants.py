"""Write a participants file: 500,000 rows in 15 columns, quoted commas, about 1 % bad rows; 106 MB."""

import argparse
import random
from pathlib import Path

HEADER = (
    "accountId,id,firstName,lastName,email,referable,locale,countryCode,referredBy.code,dateCreated,imageUrl,"
    "dateUsTaxFormSubmitted,referralCodes.welcome,customFields.company,customFields.note"
)
FIRST = ("Ann", "Jörg", "Chloé", "Mateusz", "Priya", "Kenji", "Olivia", "Sofía")
PLACES = (("en_US", "US"), ("de_DE", "DE"), ("fr_FR", "FR"), ("pl_PL", "PL"), ("ja_JP", "JP"), ("es_ES", "ES"))
BAD = (("id", ""), ("email", "not an address"), ("referable", "maybe"), ("locale", "en-US"), ("countryCode", "XX"))


def row(number: int, rng: random.Random, bad: bool) -> str:
    locale, country = PLACES[number % len(PLACES)]
    cells = {
        "accountId": f"account-{number % 5000:06d}",
        "id": f"participant-{number:09d}",
        "firstName": FIRST[number % len(FIRST)],
        "lastName": f"Lastname{number % 977}",
        "email": f"participant.{number}@example.com",
        "referable": "true" if number % 3 else "false",
        "locale": locale,
        "countryCode": country,
        "referredBy.code": f"REF{rng.randrange(10**8):08d}",
        "dateCreated": f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}",
        "imageUrl": f"https://images.example.com/p/{number}.png",
        "dateUsTaxFormSubmitted": str(1767225600000 + number),
        "referralCodes.welcome": f"WELCOME{number}",
        "customFields.company": f'"Example {number % 313}, Inc."',
        "customFields.note": f"note {rng.randrange(10**6)}",
    }
    if bad:
        name, value = BAD[number % len(BAD)]
        cells[name] = value
    return ",".join(cells.values())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("path", type=Path)
    options.add_argument("--rows", type=int, default=500_000)
    options.add_argument("--bad", type=float, default=0.01)
    given = options.parse_args()
    rng = random.Random(7)
    with given.path.open("w", encoding="utf-8", newline="") as out:
        out.write(HEADER + "\n")
        for number in range(given.rows):
            out.write(row(number, rng, rng.random() < given.bad) + "\n")


if __name__ == "__main__":
    main()
