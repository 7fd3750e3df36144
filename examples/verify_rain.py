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

head = proof["commitment"]
assert head == sha256(f"{proof['seed']}\n{rain}\n{compact(proof['versions'][0]['config'])}")
for version in proof["versions"]:
    head = sha256(f"{head}\n{compact({k: v for k, v in version.items() if k != 'hash'})}")
    assert head == version["hash"], version

count = fen = 0
for chunk in proof["chunks"]:
    terms = proof["versions"][chunk["version"] - 1]["config"]
    least, most, n, left = terms["min_fen"], terms["max_fen"], chunk["left_count"], chunk["left_fen"]
    assert (n, left) == (terms["total_count"] - count, terms["total_amount_fen"] - fen), chunk
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
    given = [amount for n, amount in enumerate(amounts) if n not in chunk.get("skipped", ())]
    assert chunk["amounts"] == given[:len(chunk["amounts"])], chunk
    for n in chunk["draws"]:
        version = [v for v in proof["versions"] if v["first_draw"] <= n][-1]
        assert below(f"draw/{rain}/{n}")(1_000_000) < version["hit_ppm"], n
    count, fen = count + len(chunk["amounts"]), fen + sum(chunk["amounts"])
print(f"rain {rain} holds: {count} packets, {fen} fen")
