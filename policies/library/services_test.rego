package services_test

import data.services

findings(spec) := result if {
	result := services.deny with input as {"parameters": {"types": ["ClusterIP", "LoadBalancer"]}, "object": {"spec": spec}}
}

test_inside_passes if count(findings({})) == 0

test_node_port_is_denied if findings({"type": "NodePort"}) == {"the Service is of type NodePort"}

test_external_address_is_denied if count(findings({"externalIPs": ["192.0.2.1"]})) == 1

test_open_balancer_is_denied if count(findings({"type": "LoadBalancer"})) == 1

test_whole_internet_is_open if count(findings({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8", "0.0.0.0/0"]})) == 1

test_named_ranges_pass if count(findings({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"]})) == 0
