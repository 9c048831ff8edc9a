package lib_test

import data.lib.periplus.image
import data.lib.periplus.labels
import data.lib.periplus.quantity
import data.lib.periplus.version

test_image if {
	every name, want in {
		"nginx": {"registry": "docker.io", "repository": "nginx", "tag": "", "digest": ""},
		"nginx:1": {"registry": "docker.io", "repository": "nginx", "tag": "1", "digest": ""},
		"team/app:v1": {"registry": "docker.io", "repository": "team/app", "tag": "v1", "digest": ""},
		"host:5000/app": {"registry": "host:5000", "repository": "app", "tag": "", "digest": ""},
		"localhost/app:v1": {"registry": "localhost", "repository": "app", "tag": "v1", "digest": ""},
		"r.example.com/a/b:v1@sha256:0a": {"registry": "r.example.com", "repository": "a/b", "tag": "v1", "digest": "sha256:0a"},
	} {
		image.parts(name) == want
	}
}

test_all_images if {
	every name in ["nginx", "r.example.com/a/b@sha256:0a", "host:5000/x:1"] {
		image.parts(name)
	}
	image.parts("r.example.com/a/b@sha256:0a") == {"registry": "r.example.com", "repository": "a/b", "tag": "", "digest": "sha256:0a"}
	image.parts("host:5000/x:1") == {"registry": "host:5000", "repository": "x", "tag": "1", "digest": ""}
}

test_labels if {
	labels.of({}) == {}
	labels.missing({"metadata": {"labels": {"a": ""}}}, ["a", "b"]) == {"b"}
	labels.annotations({"metadata": {"annotations": {"a": "b"}}}) == {"a": "b"}
}

test_quantity if {
	quantity.cpu("500m") == 0.5
	quantity.cpu(2) == 2
	quantity.memory("1Gi") == 1073741824
	quantity.memory("128Mi") < quantity.memory("1G")
}

test_version if {
	version.at_least("v1.36.3", "1.36")
	not version.at_least("v1.35.9", "v1.36.0")
	version.compare("v1.9.0", "v1.10.0") == -1
	version.skew("v1.36.3", "v1.34") == 2
}
