package chart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sigs.k8s.io/yaml"
)

// classic is a repository with an index.yaml.
type classic struct {
	base    *url.URL
	auth    Auth
	client  *http.Client
	indexes *indexes
}

func newClassic(repository string, auth Auth, indexes *indexes) (*classic, error) {
	base, err := url.Parse(repository)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("source.helm.repository %q is no http or https URL", repository)
	}
	if base.User != nil {
		return nil, errors.New("source.helm.repository holds credentials: put them into a Secret and name it in source.helm.secretRef")
	}
	if !strings.HasSuffix(base.Path, "/") {
		base.Path += "/"
	}
	client, err := newClient(auth, base.Scheme == "http")
	return &classic{base: base, auth: auth, client: client, indexes: indexes}, err
}

// index is what we read of index.yaml.
type index struct {
	Entries map[string][]indexed `json:"entries"`
}

type indexed struct {
	Version string   `json:"version"`
	URLs    []string `json:"urls"`
	Digest  string   `json:"digest"`
}

// found is a version before it is fetched.
type found struct {
	version, url string
	// digest of the package, where the repository says one.
	digest string
}

func (c *classic) find(ctx context.Context, name, asked string) (found, error) {
	read, err := c.indexes.get(c.base.String()+" "+c.auth.id(), func() (index, error) { return c.readIndex(ctx) })
	if err != nil {
		return found{}, err
	}
	entries, ok := read.Entries[name]
	if !ok {
		return found{}, errors.New("it has no chart of this name: change source.helm.name")
	}
	offered := make([]string, 0, len(entries))
	for _, entry := range entries {
		offered = append(offered, entry.Version)
	}
	version, err := pick(asked, offered)
	if err != nil {
		return found{}, err
	}
	for _, entry := range entries {
		if entry.Version != version {
			continue
		}
		if len(entry.URLs) == 0 {
			return found{}, fmt.Errorf("its index has no URL of version %s", version)
		}
		address, err := c.base.Parse(entry.URLs[0])
		if err != nil {
			return found{}, fmt.Errorf("its index has an invalid URL of version %s: %w", version, err)
		}
		if address.RawQuery == "" && origin(address) == origin(c.base) {
			address.RawQuery = c.base.RawQuery
		}
		digest := strings.ToLower(strings.TrimPrefix(entry.Digest, "sha256:"))
		if digest != "" && !digestForm.MatchString(digest) {
			return found{}, fmt.Errorf("its index has no sha256 digest of version %s, but %q", version, entry.Digest)
		}
		return found{version: version, url: address.String(), digest: digest}, nil
	}
	return found{}, fmt.Errorf("its index has no version %s", version)
}

func (c *classic) readIndex(ctx context.Context) (index, error) {
	where := c.base.JoinPath("index.yaml")
	where.RawQuery = c.base.RawQuery
	data, err := get(ctx, c.client, c.base, c.auth, where, maxIndex)
	if err != nil {
		return index{}, err
	}
	read, err := parseIndex(data)
	if err != nil {
		return index{}, fmt.Errorf("cannot read %s: %w", where.Redacted(), err)
	}
	return read, nil
}

func parseIndex(data []byte) (index, error) {
	var out index
	if trimmed := strings.TrimSpace(string(data[:min(len(data), 512)])); strings.HasPrefix(trimmed, "{") {
		err := json.Unmarshal(data, &out)
		return out, err
	}
	err := yaml.Unmarshal(data, &out)
	return out, err
}

func (c *classic) fetch(ctx context.Context, what found) ([]byte, error) {
	address, err := url.Parse(what.url)
	if err != nil {
		return nil, err
	}
	data, err := get(ctx, c.client, c.base, c.auth, address, maxChart)
	if err != nil {
		return nil, err
	}
	if sum := hexSum(data); what.digest != "" && sum != what.digest {
		return nil, fmt.Errorf("%s has digest sha256:%s, and should have sha256:%s", address.Redacted(), sum, what.digest)
	}
	return data, nil
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
