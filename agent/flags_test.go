package agent_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/periplus-fleet/periplus/agent"
)

func TestWrongCommandLines(t *testing.T) {
	hash := "--hub-ca-hash=sha256:" + strings.Repeat("a", 64)
	cases := map[string]struct {
		args []string
		want string
	}{
		"NoNamespace":     {[]string{"--hub-endpoint=h:1", hash}, "--namespace"},
		"NoEndpoint":      {[]string{"--namespace=n", hash}, "--hub-endpoint"},
		"BadHash":         {[]string{"--namespace=n", "--hub-endpoint=h:1", "--hub-ca-hash=abc"}, "--hub-ca-hash"},
		"UnknownFlag":     {[]string{"--nope"}, "nope"},
		"UnknownArgument": {[]string{"--namespace=n", "--hub-endpoint=h:1", hash, "extra"}, "extra"},
		"BadTenant":       {[]string{"--tenant=fleet"}, "namespace=account"},
		"SharedAccount":   {[]string{"--tenant=a=x", "--tenant=b=x"}, "belongs to tenant"},
		"BadQuery":        {[]string{"--namespace=n", "--hub-endpoint=h:1", hash, "--queries=get,exec"}, "exec"},
		"BadLevel":        {[]string{"--log-level=loud"}, "log-level"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := agent.ParseFlags(c.args, func(string) string { return "" }, io.Discard)
			if !errors.Is(err, agent.ErrUsage) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one about %s", err, c.want)
			}
			if code := agent.ExitCode(err, func(error) {}); code != 2 {
				t.Errorf("exit code is %d", code)
			}
		})
	}
}
