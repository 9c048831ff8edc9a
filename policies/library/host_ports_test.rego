package host_ports_test

import data.host_ports

findings(ports) := result if {
	result := host_ports.deny with input as {"parameters": {"allowed": [9100]}, "containers": [{"name": "a", "ports": ports}]}
}

test_container_port_passes if count(findings([{"containerPort": 80}])) == 0

test_zero_is_none if count(findings([{"containerPort": 80, "hostPort": 0}])) == 0

test_host_port_is_named if findings([{"containerPort": 80, "hostPort": 80}]) == {"container \"a\" takes port 80 of its node"}

test_allowed_port_passes if count(findings([{"hostPort": 9100}])) == 0
