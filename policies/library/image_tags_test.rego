package image_tags_test

import data.image_tags

findings(image) := result if {
	result := image_tags.deny with input as {"parameters": {"moving": ["latest", "main"]}, "containers": [{"name": "a", "image": image}]}
}

test_version_passes if count(findings("registry.example.com/web:1.2.3")) == 0

test_digest_passes if count(findings("registry.example.com/web@sha256:00")) == 0

test_port_is_no_tag if count(findings("registry.example.com:5000/web")) == 1

test_port_and_version_pass if count(findings("registry.example.com:5000/web:1.2.3")) == 0

test_no_tag_is_latest if findings("web") == {"container \"a\": image \"web\" has the tag \"latest\", which moves"}

test_moving_is_named if findings("web:main") == {"container \"a\": image \"web:main\" has the tag \"main\", which moves"}

test_no_image_is_denied if {
	result := image_tags.deny with input as {"parameters": {"moving": ["latest"]}, "containers": [{"name": "a"}]}
	count(result) == 1
}
