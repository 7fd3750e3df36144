#!/usr/bin/env bash
# Builds the tests' MongoDB-wire server into target/mongo-server, once; needs the network only for
# libraries that are not there yet.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=target/mongo-server
if [ ! -e "$out/lib/complete" ] || [ tests/mongo/pom.xml -nt "$out/lib/complete" ]; then
    rm -rf "$out/lib"
    mvn -q -B -f tests/mongo/pom.xml dependency:copy-dependencies \
        -DoutputDirectory="$PWD/$out/lib"
    touch "$out/lib/complete"
fi
if [ ! -e "$out/Launcher.class" ] || [ tests/mongo/Launcher.java -nt "$out/Launcher.class" ]; then
    javac -cp "$out/lib/*" -d "$out" tests/mongo/Launcher.java
fi
