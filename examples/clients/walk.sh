#!/bin/sh
# The API with nothing but curl, then with buf curl. Announces a route, looks at it, takes it back.
#   examples/clients/walk.sh /tmp/left/grpc.sock
set -eu
socket=${1:?usage: walk.sh SOCKET}
cd "$(dirname "$0")/../.."

# Connect: a POST with JSON in and out. The host name does not matter on a Unix socket.
call() {
  echo "\$ $1 $2"
  curl --silent --show-error --fail-with-body --unix-socket "$socket" --json "$2" --write-out '\n' \
    "http://cairn/cairn.v1.$1"
}

call ControlService/GetHealth '{}'
call InjectionService/AddPath '{"path": {"prefix": "198.51.100.0/25", "communities": ["65001:7"], "owner": "walk"}}'
call RibService/LookupRoute '{"target": "198.51.100.1"}'
call NeighborService/ListNeighbors '{}'

# Bad input is refused with every problem at once, and changes nothing.
call InjectionService/AddPath '{"path": {"prefix": "198.51.100.1/25", "communities": ["many"]}}' || echo "(refused, as it should be)"

# gRPC: buf curl learns the schema by reflection, so it needs no .proto files.
buf() {
  echo "\$ buf curl $1 $2"
  node_modules/.bin/buf curl --protocol grpc --http2-prior-knowledge --unix-socket "$socket" --data "$2" "http://cairn/cairn.v1.$1"
}

buf InjectionService/ListInjected '{"owner": "walk"}'
buf InjectionService/DeletePath '{"prefix": "198.51.100.0/25"}'
