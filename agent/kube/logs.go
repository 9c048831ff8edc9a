package kube

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
)

// LogOptions of one container's log.
type LogOptions struct {
	Container        string
	Follow, Previous bool
	// Tail is how many of the last lines; Since how old a line may be, 0 for any age.
	Tail  int64
	Since time.Duration
}

// Logs streams a container's log, each line with its time, until it ends or ctx does; the caller closes it.
func (c *Client) Logs(ctx context.Context, namespace, pod string, options LogOptions) (io.ReadCloser, error) {
	request := c.rest.Get().AbsPath("api", "v1", "namespaces", namespace, "pods", pod, "log").
		Param("container", options.Container).Param("timestamps", "true").Param("follow", strconv.FormatBool(options.Follow)).
		Param("previous", strconv.FormatBool(options.Previous)).Param("tailLines", strconv.FormatInt(options.Tail, 10))
	if options.Since > 0 {
		request = request.Param("sinceSeconds", strconv.FormatInt(int64(max(options.Since, time.Second)/time.Second), 10))
	}
	stream, err := request.Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read the log of container %q of pod %s/%s: %w", options.Container, namespace, pod, err)
	}
	return stream, nil
}
