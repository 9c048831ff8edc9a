package network_policies_test

import data.network_policies

findings(spec) := result if {
	result := network_policies.deny with input as {"parameters": {"open": []}, "object": {"spec": spec}}
}

peer := {"podSelector": {"matchLabels": {"app": "web"}}}

test_named_peer_passes if count(findings({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": [peer]}]})) == 0

test_default_deny_passes if count(findings({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})) == 0

test_half_a_default_deny_is_named if findings({"podSelector": {}}) == {"it denies all pods by default, but not Egress: name it in spec.policyTypes"}

test_rule_without_peers_is_named if findings({"podSelector": {"a": "b"}, "egress": [{}]}) == {"spec.egress[0] opens to everyone: it has no to"}

test_whole_internet_is_named if findings({"podSelector": {"a": "b"}, "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}) == {"spec.ingress[0] opens to everyone: 0.0.0.0/0"}
