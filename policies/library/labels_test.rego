package labels_test

import data.labels

parameters := {"labels": ["team", "app.kubernetes.io/name"]}

review(metadata) := denied if {
	denied := labels.deny with input as {"object": {"metadata": metadata}, "parameters": parameters}
}

test_labelled_passes if count(review({"labels": {"team": "a", "app.kubernetes.io/name": "b"}})) == 0

test_missing_label_is_named if review({"labels": {"team": "a"}}) == {`label "app.kubernetes.io/name" is missing`}

test_empty_label_is_missing if count(review({"labels": {"team": "", "app.kubernetes.io/name": "b"}})) == 1

test_no_labels_at_all if count(review({})) == 2
