package chart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Media types of a chart's package in a registry.
var chartTypes = map[string]bool{
	"application/vnd.cncf.helm.chart.content.v1.tar+gzip": true,
	"application/tar+gzip":                                true,
}

// oci is a repository of an OCI registry, which holds the versions of one chart as tags.
type oci struct {
	reference  string
	repository *remote.Repository
}

func newOCI(reference string, given Auth) (*oci, error) {
	bare, ok := strings.CutPrefix(reference, "oci://")
	if !ok {
		return nil, fmt.Errorf("source.helm.oci %q does not begin with oci://", reference)
	}
	repository, err := remote.NewRepository(bare)
	if err != nil {
		return nil, fmt.Errorf("source.helm.oci %q is no reference: %w", reference, err)
	}
	if repository.Reference.Reference != "" {
		return nil, fmt.Errorf("source.helm.oci %q names a tag or digest: give it as source.helm.version", reference)
	}
	repository.PlainHTTP = len(given.CA) == 0 && local(repository.Reference.Registry)
	repository.MaxMetadataBytes = maxManifest
	client, err := newClient(given, repository.PlainHTTP)
	if err != nil {
		return nil, err
	}
	host := repository.Reference.Host()
	repository.Client = &auth.Client{Client: client, Cache: auth.NewCache(), Credential: func(_ context.Context, asking string) (auth.Credential, error) {
		if asking != host {
			return auth.EmptyCredential, nil
		}
		return auth.Credential{Username: given.Username, Password: given.Password, AccessToken: given.Token}, nil
	}}
	return &oci{reference: reference, repository: repository}, nil
}

// local says whether a registry is on this machine, where it needs no TLS.
func local(registry string) bool {
	host := registry
	if name, _, err := net.SplitHostPort(registry); err == nil {
		host = name
	}
	address := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || address != nil && address.IsLoopback()
}

func (o *oci) find(ctx context.Context, _, asked string) (found, error) {
	version := asked
	if !exact(asked) {
		var offered []string
		err := o.repository.Tags(ctx, "", func(tags []string) error {
			for _, tag := range tags {
				// A tag cannot hold the + of a version.
				offered = append(offered, strings.ReplaceAll(tag, "_", "+"))
			}
			return nil
		})
		if err != nil {
			return found{}, o.explain(err)
		}
		if version, err = pick(asked, offered); err != nil {
			return found{}, err
		}
	}
	layer, err := o.layer(ctx, version)
	if err != nil {
		return found{}, o.explain(err)
	}
	return found{version: version, url: o.reference + ":" + tagOf(version), digest: layer.Digest.Encoded()}, nil
}

func tagOf(version string) string { return strings.ReplaceAll(version, "+", "_") }

// layer of a version that holds the package.
func (o *oci) layer(ctx context.Context, version string) (ocispec.Descriptor, error) {
	at, err := o.repository.Resolve(ctx, tagOf(version))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if at.Size > maxManifest {
		return ocispec.Descriptor{}, fmt.Errorf("its manifest of version %s is larger than %d MiB", version, maxManifest>>20)
	}
	data, err := content.FetchAll(ctx, o.repository, at)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(data, &manifest); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("cannot read its manifest of version %s: %w", version, err)
	}
	for _, layer := range manifest.Layers {
		if chartTypes[layer.MediaType] && layer.Digest.Algorithm() == digest.SHA256 && layer.Digest.Validate() == nil {
			return layer, nil
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("its version %s is no Helm chart", version)
}

// fetch reads the package by its digest, wherever the tag leads by now.
func (o *oci) fetch(ctx context.Context, what found) ([]byte, error) {
	at, err := o.repository.Blobs().Resolve(ctx, "sha256:"+what.digest)
	if err != nil {
		return nil, o.explain(err)
	}
	if at.Size > maxChart {
		return nil, fmt.Errorf("%s is larger than %d MiB", what.url, maxChart>>20)
	}
	data, err := content.FetchAll(ctx, o.repository.Blobs(), at)
	if err != nil {
		return nil, o.explain(err)
	}
	return data, nil
}

func (o *oci) explain(err error) error {
	var answer *errcode.ErrorResponse
	if errors.As(err, &answer) {
		return &statusError{o.reference, answer.StatusCode}
	}
	if errors.Is(err, auth.ErrBasicCredentialNotFound) {
		return &statusError{o.reference, http.StatusUnauthorized}
	}
	return explain(err)
}
