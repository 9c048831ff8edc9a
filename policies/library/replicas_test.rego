package replicas_test

import data.replicas

findings(spec) := result if {
	result := replicas.warn with input as {"parameters": {"least": 2}, "object": {"spec": spec}}
}

test_enough_passes if count(findings({"replicas": 2})) == 0

test_unset_is_one if findings({}) == {"it runs 1 times, and should 2"}

test_scaled_to_zero_passes if count(findings({"replicas": 0})) == 0
