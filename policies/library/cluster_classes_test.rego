package cluster_classes_test

import data.cluster_classes

findings(topology, labels) := result if {
	result := cluster_classes.deny with input as {
		"parameters": {"classes": ["standard"], "regions": ["eu"], "regionLabel": "region", "variables": {"encryption": true}},
		"object": {"metadata": {"labels": labels}, "spec": {"provision": {"topology": topology}}},
	}
}

good := {"classRef": {"name": "standard"}, "variables": [{"name": "encryption", "value": true}]}

test_approved_passes if count(findings(good, {"region": "eu"})) == 0

test_other_class_is_denied if findings(object.union(good, {"classRef": {"name": "mine"}}), {"region": "eu"}) == {"class \"mine\" is none of the approved"}

test_other_region_is_denied if findings(good, {"region": "us"}) == {"region \"us\" is none of the approved: label region"}

test_unencrypted_is_denied if findings({"classRef": {"name": "standard"}}, {"region": "eu"}) == {"variable encryption of the class must be true"}
