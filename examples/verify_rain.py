#!/usr/bin/env python3
"""Checks what `GET /rain/proof` reveals with nothing but the rule of the README."""
import hashlib, hmac, json, sys

def sha256(text): return hashlib.sha256(text.encode()).hexdigest()
def compact(value): return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

proof = json.load(open(sys.argv[1], encoding="utf-8"))
proof = proof.get("data", proof)
seed, rain = bytes.fromhex(proof["seed"]), proof["id"]

def below(label):
    """A function that draws from the stream of this name, below a bound that it is given."""
    blocks = (hmac.digest(seed, f"{label}/{n}".encode(), "sha256") for n in range(2**64))
    words = (int.from_bytes(b[i:i + 8], "big") for b in blocks for i in (0, 8, 16, 24))
    return lambda bound: next(w for w in words if w < 2**64 - 2**64 % bound) % bound

head, versions = proof["commitment"], proof["versions"]
assert head == sha256(f"{proof['seed']}\n{rain}\n{compact(versions[0]['config'])}")
first_draw = 1
for number, version in enumerate(versions, 1):
    assert version["version"] == number and version["first_draw"] >= first_draw, version
    assert version["config"]["pacing"] or version["hit_ppm"] == version["config"]["win_ppm"], version
    first_draw = version["first_draw"]
    head = sha256(f"{head}\n{compact({k: v for k, v in version.items() if k != 'hash'})}")
    assert head == version["hash"], version

count = fen = skipped = 0
winners, is_empty, since = set(), True, 1
def amounts_of(version):
    return [version["config"][it] for it in ("total_count", "total_amount_fen", "min_fen", "max_fen")]

for number, chunk in enumerate(proof["chunks"], 1):
    terms = versions[chunk["version"] - 1]["config"]
    least, most, n, left = terms["min_fen"], terms["max_fen"], chunk["left_count"], chunk["left_fen"]
    assert (n, left) == (terms["total_count"] - count, terms["total_amount_fen"] - fen), chunk
    assert chunk["number"] == number and chunk["version"] >= since, chunk
    # The chunk before it was left early only for new amounts, though they may have been changed back.
    changes = [amounts_of(version) != amounts_of(versions[since - 1])
               for version in versions[since:chunk["version"]]]
    assert is_empty or any(changes), chunk
    draw = below(f"chunk/{rain}/{chunk['number']}/{chunk['version']}/{n}/{left}")
    size = -(-n // -(-n // 64))
    left, amounts = left * size // n, []
    for n in range(size, 0, -1):
        low = max(least, left - most * (n - 1))
        high = min(most, left - least * (n - 1), max(least, 2 * left // n - least))
        amounts.append(low + draw(high - low + 1))
        left -= amounts[-1]
    for last in range(size - 1, 0, -1):
        other = draw(last + 1)
        amounts[last], amounts[other] = amounts[other], amounts[last]
    left_out = chunk.get("skipped", [])
    given = [amount for n, amount in enumerate(amounts) if n not in left_out]
    assert chunk["amounts"] == given[:len(chunk["amounts"])], chunk
    assert len(chunk["draws"]) == len(chunk["amounts"]), chunk
    is_empty, since = len(chunk["amounts"]) == size, chunk["version"]
    for n in chunk["draws"]:
        assert n not in winners, n
        winners.add(n)
        version = [v for v in versions if v["first_draw"] <= n][-1]
        assert below(f"draw/{rain}/{n}")(1_000_000) < version["hit_ppm"], n
    count, fen = count + len(chunk["amounts"]), fen + sum(chunk["amounts"])
    skipped += len(left_out)
print(f"rain {rain} holds: {count} packets, {fen} fen" + f", {skipped} skipped" * (skipped > 0))
