package ingress_hosts_test

import data.ingress_hosts

findings(kind, spec) := result if {
	result := ingress_hosts.deny with input as {
		"parameters": {"domains": ["example.com"], "tls": true},
		"kind": kind,
		"object": {"spec": spec},
	}
}

tls := [{"hosts": ["web.example.com"]}]

test_own_domain_passes if count(findings("Ingress", {"tls": tls, "rules": [{"host": "web.example.com"}]})) == 0

test_like_named_domain_is_denied if findings("Ingress", {"tls": tls, "rules": [{"host": "evilexample.com"}]}) == {"host \"evilexample.com\" is under none of the platform's domains"}

test_no_host_is_denied if findings("Ingress", {"tls": tls, "rules": [{}]}) == {"it serves every host: name one"}

test_no_tls_is_denied if findings("Ingress", {"rules": [{"host": "example.com"}]}) == {"its traffic is not encrypted: spec.tls is missing"}

test_route_is_read if count(findings("HTTPRoute", {"hostnames": ["a.example.com", "b.example.org"]})) == 1

test_gateway_is_read if count(findings("Gateway", {"listeners": [{"hostname": "*.example.com"}, {}]})) == 1
