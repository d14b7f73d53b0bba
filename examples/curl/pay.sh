#!/usr/bin/env bash
# Pays with plain curl; only the signature comes from a helper, which sends nothing but the question for the price.
#
#   PRIVATE_KEY=0x… examples/curl/pay.sh https://host/path ['$0.10']
#
# What is sent again after a 503 is the same payment: a second signature could pay twice.
set -euo pipefail
url=${1:?usage: PRIVATE_KEY=0x… pay.sh URL [MAX]}
cd "$(dirname "$0")/../.."

payment=$(npm run --silent pay -- "$url" --max "${2:-\$0.10}" --print-header)
headers=$(mktemp) body=$(mktemp)
trap 'rm -f "$headers" "$body"' EXIT

for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
  status=$(curl -sS -D "$headers" -o "$body" -w '%{http_code}' -H "PAYMENT-SIGNATURE: $payment" "$url") || status=000
  wait=$(sed -n 's/^retry-after: *\([0-9]*\).*/\1/ip' "$headers")
  # 000: the answer was lost. Whatever names a time to try again has not said no.
  if [ "$status" != 000 ] && [ "$status" != 503 ] && [ -z "$wait" ]; then break; fi
  echo "asking again with the same payment" >&2
  sleep "${wait:-2}"
done

receipt=$(sed -n 's/^payment-response: *\([A-Za-z0-9+/=]*\).*/\1/ip' "$headers" | base64 -d)
echo "receipt  ${receipt:-none}" >&2
if [ "$status" -ge 400 ] || [ "$status" = 000 ]; then
  echo "no answer: $status" >&2
  cat "$body" >&2
  exit 1
fi
cat "$body"
