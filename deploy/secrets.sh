#!/bin/sh
# Makes what compose.yaml hands over as secrets, once: what is there stays.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets

make() {
    # Whoever is 65532 in the container must read it; the folder keeps everybody else out.
    [ -s "secrets/$1" ] || { cat > "secrets/$1.new"; chmod 444 "secrets/$1.new"; mv "secrets/$1.new" "secrets/$1"; }
}

openssl rand -base64 741 | make mongodb_key
openssl rand -hex 32 | make mongodb_admin_password
openssl rand -hex 32 | make mongodb_gateway_password
openssl rand -hex 32 | make auth_secret
openssl rand -hex 32 | make server_secret
echo "mongodb://gateway:$(cat secrets/mongodb_gateway_password)@mongo1,mongo2,mongo3/?replicaSet=rs0&authSource=admin" |
    make mongodb_uri
