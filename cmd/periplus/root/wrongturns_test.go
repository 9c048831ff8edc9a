package root_test

import (
	"io"
	"strings"
	"testing"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/root"
)

func TestWrongTurns(t *testing.T) {
	cases := map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"Slip":      {"A slip of the pen is suggested.", []string{"valuse"}, `unknown word "valuse" after "periplus"; did you mean values?`},
		"SlipBelow": {"Also below.", []string{"import", "fluxx"}, "did you mean flux?"},
		"Unknown":   {"What is like nothing is not.", []string{"xyzzy"}, "unknown word \"xyzzy\" after \"periplus\"\n"},
		"Missing":   {"What is missing is named.", []string{"values"}, "want: periplus values BUNDLE -c CLUSTER"},
		"Many":      {"As is what is too much.", []string{"import", "flux", "a", "b"}, `2 words after "periplus import flux"; want: periplus import flux `},
		"Flag":      {"And a flag that is none.", []string{"render", "--foo"}, "unknown flag: --foo\nsee 'periplus render --help'"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cmd := root.Command()
			cmd.SetArgs(tc.args)
			cmd.SetOut(io.Discard)
			cmd.SetErr(io.Discard)
			err := cmd.ExecuteContext(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) || client.ExitCode(err) != 2 {
				t.Errorf("%s: exit code %d, want 2 and %q, got %v", tc.reason, client.ExitCode(err), tc.want, err)
			}
		})
	}
}
