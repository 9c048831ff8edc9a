package service_account_tokens_test

import data.service_account_tokens

findings(spec) := result if {
	result := service_account_tokens.deny with input as {"pod": {"spec": spec}}
}

test_own_account_passes if count(findings({"serviceAccountName": "web"})) == 0

test_no_token_passes if count(findings({"automountServiceAccountToken": false})) == 0

test_default_is_denied if count(findings({})) == 1
