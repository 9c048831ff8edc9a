package resources_test

import data.resources

parameters := {"requests": ["cpu"], "limits": ["memory"]}

review(c) := denied if {
	denied := resources.deny with input as {"containers": [c], "parameters": parameters}
}

test_stated_resources_pass if {
	count(review({"name": "a", "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}})) == 0
}

test_a_number_is_a_quantity if {
	count(review({"name": "a", "resources": {"requests": {"cpu": 1}, "limits": {"memory": 1000}}})) == 0
}

test_each_missing_resource_is_named if {
	review({"name": "a"}) == {
		`container "a" has no resources.requests.cpu`,
		`container "a" has no resources.limits.memory`,
	}
}

test_null_is_missing if {
	review({"name": "a", "resources": {"requests": {"cpu": null}, "limits": {"memory": "1Gi"}}}) == {`container "a" has no resources.requests.cpu`}
}
