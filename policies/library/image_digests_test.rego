package image_digests_test

import data.image_digests

findings(image) := result if {
	result := image_digests.deny with input as {"containers": [{"name": "a", "image": image}]}
}

digest := "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

test_digest_passes if count(findings(sprintf("web:1.2.3@%s", [digest]))) == 0

test_tag_is_denied if findings("web:1.2.3") == {"container \"a\": image \"web:1.2.3\" has no digest"}

test_short_digest_is_denied if count(findings("web@sha256:e3b0")) == 1
