#!/bin/sh
# Makes the encrypted documents of this folder from those in plain/ with the sops command, and the keys that open them.
# Needs gpg. Nothing here is secret.
set -eu
cd "$(dirname "$0")"
PATH=$(../../../e2e/tools/build.sh sops):$PATH
export GNUPGHOME
GNUPGHOME=$(mktemp -d)
trap 'gpgconf --kill all 2>/dev/null; rm -rf "$GNUPGHOME"' EXIT

rm -f ./*.agekey ./*.asc ./*.yaml ./*.json ./*.env ./*.bin
age-keygen -o right.agekey 2>/dev/null
age-keygen -o wrong.agekey 2>/dev/null
age=$(age-keygen -y right.agekey)
key() { # name, algorithm of the encryption subkey
	gpg --batch --quiet --no-auto-check-trustdb --pinentry-mode loopback --passphrase "$3" --quick-gen-key "$1@example.org" "$2" default never
	gpg --batch --quiet --no-auto-check-trustdb --pinentry-mode loopback --passphrase "$3" --export-secret-keys --armor "$1@example.org" >"$1.asc"
}
key curve future-default ""
key rsa rsa3072 ""
gpg --batch --quiet --no-auto-check-trustdb --passphrase "" --quick-add-key "$(gpg --list-keys --with-colons rsa@example.org | awk -F: '/^fpr/ {print $10; exit}')" rsa3072 encr never
gpg --batch --quiet --no-auto-check-trustdb --pinentry-mode loopback --passphrase "" --export-secret-keys --armor rsa@example.org >rsa.asc
key locked default secret
key stranger default ""
gpg --batch --quiet --no-auto-check-trustdb --export --armor curve@example.org >public.asc
fingerprint() { gpg --list-keys --with-colons "$1@example.org" | awk -F: '/^fpr/ {print $10; exit}'; }
curve=$(fingerprint curve) rsa=$(fingerprint rsa)

seal() { # from, to, arguments
	from=$1 to=$2
	shift 2
	sops encrypt "$@" "plain/$from" >"$to"
}
seal secret.yaml whole.yaml --age "$age"
seal secret.yaml regex.yaml --age "$age" --encrypted-regex '^(data|stringData)$'
seal secret.yaml unencryptedregex.yaml --age "$age" --unencrypted-regex '^(apiVersion|kind|metadata|type)$'
seal secret.yaml curve.yaml --pgp "$curve" --encrypted-regex '^(data|stringData)$'
seal secret.yaml rsa.yaml --pgp "$rsa" --encrypted-regex '^(data|stringData)$'
seal secret.yaml both.yaml --age "$age" --pgp "$curve" --encrypted-regex '^(data|stringData)$'
seal manifest.yaml manifest.yaml --age "$age" --encrypted-regex '^(data|stringData)$'
seal types.yaml types.yaml --age "$age"
seal types.yaml keep.yaml --age "$age" --encrypted-regex '^nothing matches$'
seal types.json types.json --age "$age"
seal suffix.yaml suffix.yaml --age "$age" --encrypted-suffix _secret
seal suffix.yaml unencryptedsuffix.yaml --age "$age" --unencrypted-suffix _clear
seal app.env app.env --age "$age"
seal file.txt file.bin --age "$age" --input-type binary

# What no option says, a rule of a configuration does.
ruled() { # from, to, rule
	printf 'creation_rules:\n    - %s\n' "$3" >"$GNUPGHOME/rule.yaml"
	sops --config "$GNUPGHOME/rule.yaml" encrypt "plain/$1" >"$2"
}
ruled comments.yaml comments.yaml "{age: $age, encrypted_comment_regex: 'sops:enc'}"
ruled nocomments.yaml nocomments.yaml "{age: $age, unencrypted_comment_regex: 'sops:clear'}"
ruled secret.yaml maconly.yaml "{age: $age, mac_only_encrypted: true, encrypted_regex: '^(data|stringData)$'}"
ruled secret.yaml groups.yaml "{shamir_threshold: 2, key_groups: [{age: [$age]}, {pgp: [$curve]}]}"
