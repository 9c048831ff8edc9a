package registries_test

import data.registries

parameters := {"registries": ["registry.example.com/"]}

findings(image) := result if {
	result := registries.deny with input as {
		"parameters": parameters,
		"containers": [{"name": "main", "image": image}],
	}
}

test_approved_registry_passes if count(findings("registry.example.com/ml/train:1")) == 0

test_other_registry_is_denied if findings("docker.io/library/nginx:1") == {"image \"docker.io/library/nginx:1\" of container \"main\" is not from an approved registry"}

# Without the slash of the parameter, this one would pass.
test_lookalike_is_denied if count(findings("registry.example.com.evil.io/x:1")) == 1

test_object_without_containers_passes if count(registries.deny) == 0 with input as {"parameters": parameters, "containers": []}
