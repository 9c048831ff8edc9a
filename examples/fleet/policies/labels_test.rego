package labels_test

import data.labels

findings(metadata) := result if {
	result := labels.deny with input as {
		"parameters": {"labels": ["app.kubernetes.io/name", "fleet.example.com/team"]},
		"object": {"metadata": metadata},
	}
}

test_both_labels_pass if count(findings({"labels": {"app.kubernetes.io/name": "x", "fleet.example.com/team": "ml"}})) == 0

test_missing_one_is_named if findings({"labels": {"app.kubernetes.io/name": "x"}}) == {"label \"fleet.example.com/team\" is missing"}

test_empty_counts_as_missing if count(findings({"labels": {"app.kubernetes.io/name": "", "fleet.example.com/team": "ml"}})) == 1

test_no_labels_at_all if count(findings({})) == 2
