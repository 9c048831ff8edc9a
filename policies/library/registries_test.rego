package registries_test

import data.registries

parameters := {"registries": ["registry.example.com/", "mirror.example.com/"]}

review(containers) := denied if {
	denied := registries.deny with input as {"containers": containers, "parameters": parameters}
}

test_approved_image_passes if {
	count(review([{"name": "a", "image": "registry.example.com/a:1"}, {"name": "b", "image": "mirror.example.com/b"}])) == 0
}

test_every_other_image_is_denied if {
	review([{"name": "a", "image": "docker.io/a"}, {"name": "b", "image": "b"}]) == {
		`container "a": image "docker.io/a" is not from an approved registry`,
		`container "b": image "b" is not from an approved registry`,
	}
}

test_lookalike_host_is_denied if {
	count(review([{"name": "a", "image": "registry.example.com.evil.org/a"}])) == 1
}

test_container_without_image_is_denied if count(review([{"name": "a"}])) == 1
