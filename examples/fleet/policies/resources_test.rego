package resources_test

import data.resources

complete := {"requests": {"cpu": "10m", "memory": "1Mi"}, "limits": {"memory": "1Mi"}}

test_complete_passes if count(resources.deny) == 0 with input as {"containers": [{"name": "a", "resources": complete}]}

test_each_missing_one_is_named if {
	resources.deny == {"container \"a\" has no resources.requests.memory", "container \"a\" has no resources.limits.memory"} with input as {"containers": [{"name": "a", "resources": {"requests": {"cpu": "10m"}}}]}
}

test_no_resources_at_all if count(resources.deny) == 3 with input as {"containers": [{"name": "a"}]}

test_every_container_counts if count(resources.deny) == 3 with input as {"containers": [{"name": "a", "resources": complete}, {"name": "b"}]}
