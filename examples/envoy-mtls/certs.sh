#!/bin/sh
# An authority with a server and two clients, for trying things out: certs.sh DIRECTORY
# In production these come from the authority that you have.
set -eu
mkdir -p "${1:?usage: certs.sh DIRECTORY}"
cd "$1"
umask 077

new_key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 $new_key -keyout ca.key -out ca.crt -days 30 -subj "/CN=cairn example CA" 2>/dev/null

# issue NAME NAMES USAGE
issue() {
  openssl req $new_key -keyout "$1.key" -out "$1.csr" -subj "/CN=$1" 2>/dev/null
  printf 'subjectAltName=%s\nextendedKeyUsage=%s\nbasicConstraints=critical,CA:FALSE\n' "$2" "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -days 30 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  rm "$1.csr" "$1.ext"
}

issue server DNS:cairn.example,DNS:localhost,IP:127.0.0.1 serverAuth
issue automation DNS:automation.example clientAuth
issue viewer DNS:viewer.example clientAuth
cat server.crt server.key >server.pem # HAProxy wants both in one file
