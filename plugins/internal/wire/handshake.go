package wire

import goplugin "github.com/hashicorp/go-plugin"

// PluginKey names the one entry of go-plugin's plugin set; what a plugin serves is said by Describe.
const PluginKey = "periplus"

// Handshake tells a person who starts a plugin by hand that the hub does it. It is no protection. Its version is that of
// handshake and Describe; types have versions of their own.
func Handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "PERIPLUS_PLUGIN", MagicCookieValue: "f0c7a3d1-periplus-plugin"}
}

// MaxMessage bounds messages to a plugin, and files that it reads through the host.
const (
	MaxMessage = 64 << 20
	MaxFile    = 16 << 20
)
