package bootstrap

import "time"

// found is what stands in the member.
type found struct {
	// release is the state of the Helm release: "" (none), "deployed", or another word of Helm's.
	release string
	// digest of the release's chart and values.
	digest string
	// deployment: the agent's Deployment is there. identity: the agent has joined before. token: the join Secret is there,
	// and issued says when its token was made.
	deployment bool
	identity   bool
	token      bool
	issued     time.Time
}

// verb is what to do about the release.
type verb string

const (
	leave   verb = "leave"
	install verb = "install"
	upgrade verb = "upgrade"
	// replace takes away what an interrupted installation left, and installs.
	replace verb = "replace"
)

// decide says what to do about the release, and whether the member needs a new join token. A token is needed as long as
// the agent has no identity, and made anew when half its life is over.
func decide(f found, want string, now time.Time, tokenLife time.Duration) (verb, bool) {
	needsToken := !f.identity && (!f.token || now.Sub(f.issued) > tokenLife/2)
	switch {
	case f.release == "":
		return install, needsToken
	case f.release != "deployed":
		return replace, needsToken
	case !f.deployment || f.digest != want:
		return upgrade, needsToken
	default:
		return leave, needsToken
	}
}
