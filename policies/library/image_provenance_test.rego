package image_provenance_test

import data.image_provenance

findings(annotations) := result if {
	result := image_provenance.deny with input as {
		"parameters": {"annotations": ["org.opencontainers.image.source", "org.opencontainers.image.revision"]},
		"pod": {"metadata": {"annotations": annotations}},
	}
}

test_both_pass if count(findings({"org.opencontainers.image.source": "https://git.example.com/web", "org.opencontainers.image.revision": "1a2b"})) == 0

test_missing_is_named if findings({"org.opencontainers.image.source": "x"}) == {"the pod has no annotation org.opencontainers.image.revision"}

test_empty_counts_as_missing if count(findings({"org.opencontainers.image.source": "", "org.opencontainers.image.revision": "1"})) == 1
