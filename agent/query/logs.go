package query

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/agent/kube"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

const (
	defaultTail = 100
	mostTail    = 10_000
	// maxStreams is how many containers one query reads; maxLine how much of a line is kept.
	maxStreams = 20
	maxLine    = 16 << 10
	// Lines travel together: at most partLines, partBytes, and as old as partAge.
	partLines = 500
	partBytes = 256 << 10
	partAge   = 200 * time.Millisecond
)

// stream is the log of one container.
type stream struct{ namespace, pod, container string }

// logs gives the logs of a pod, or of the pods that an object owns.
func (s *scope) logs(ctx context.Context, asked *linkv1.LogsQuery, send func(*linkv1.QueryResult) error) error {
	if s.asked == nil {
		return failf(codeInvalid, "name an object of the bundle: a pod, or what owns pods")
	}
	f := s.family()
	streams, err := f.streams(ctx, asked.GetContainer())
	switch {
	case err != nil:
		return err
	case len(streams) == 0 && asked.GetContainer() != "":
		return failf(codeNotFound, "%s has no pod with a container %q", s.asked.id, asked.GetContainer())
	case len(streams) == 0:
		return failf(codeNotFound, "%s has no pods", s.asked.id)
	}
	truncated := f.truncated || len(streams) > maxStreams
	streams = streams[:min(len(streams), maxStreams)]
	options := kube.LogOptions{Follow: asked.GetFollow(), Previous: asked.GetPrevious(), Tail: asked.GetTailLines(), Since: asked.GetSince().AsDuration()}
	if options.Tail <= 0 {
		options.Tail = defaultTail
	}
	options.Tail = min(options.Tail, mostTail)
	if err := s.read(ctx, streams, options, send); err != nil {
		return err
	}
	return send(&linkv1.QueryResult{Truncated: truncated})
}

func (f *family) streams(ctx context.Context, container string) ([]stream, error) {
	var out []stream
	err := f.walk(ctx, func(n node) error {
		if n.live == nil || n.target.id.Kind != "Pod" || n.target.id.Group != "" {
			return nil
		}
		for _, field := range []string{"initContainers", "containers", "ephemeralContainers"} {
			containers, _, _ := unstructured.NestedSlice(n.live.Object, "spec", field)
			for _, one := range containers {
				one, _ := one.(map[string]any)
				if name, _ := one["name"].(string); name == container || container == "" && field == "containers" {
					out = append(out, stream{n.live.GetNamespace(), n.live.GetName(), name})
				}
			}
		}
		return nil
	})
	return out, err
}

// read reads all streams at once. The log of one that cannot be read is a line that says so; when none can, that is the error.
func (s *scope) read(ctx context.Context, streams []stream, options kube.LogOptions, send func(*linkv1.QueryResult) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan *linkv1.LogLine, partLines)
	failures := make(chan error, len(streams))
	var readers sync.WaitGroup
	for _, one := range streams {
		readers.Go(func() {
			if err := s.follow(ctx, one, options, lines); err != nil {
				failures <- err
			}
		})
	}
	go func() {
		readers.Wait()
		close(lines)
	}()
	err := pack(ctx, lines, send)
	cancel()
	for range lines {
		// The readers end before this returns.
	}
	if err != nil || ctx.Err() != nil && len(failures) == 0 {
		return err
	}
	if len(failures) == len(streams) {
		return <-failures
	}
	return nil
}

func (s *scope) follow(ctx context.Context, one stream, options kube.LogOptions, lines chan<- *linkv1.LogLine) error {
	options.Container = one.container
	source, err := s.client.Logs(ctx, one.namespace, one.pod, options)
	if err != nil {
		return err
	}
	defer source.Close()
	reader := bufio.NewReaderSize(source, maxLine)
	for {
		read, err := reader.ReadSlice('\n')
		text := string(read)
		for errors.Is(err, bufio.ErrBufferFull) {
			// The rest of a line that is too long is dropped.
			_, err = reader.ReadSlice('\n')
		}
		if len(text) > 0 {
			select {
			case lines <- lineOf(one, strings.TrimSuffix(text, "\n")):
			case <-ctx.Done():
				return nil
			}
		}
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func lineOf(one stream, text string) *linkv1.LogLine {
	line := &linkv1.LogLine{Pod: one.namespace + "/" + one.pod, Container: one.container, Text: text}
	if stamp, rest, ok := strings.Cut(text, " "); ok {
		if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
			line.Time, line.Text = timestamppb.New(at), rest
		}
	}
	line.Text = strings.ToValidUTF8(line.Text, "\uFFFD")
	return line
}

// pack sends lines together: soon, but not one by one.
func pack(ctx context.Context, lines <-chan *linkv1.LogLine, send func(*linkv1.QueryResult) error) error {
	ticker := time.NewTicker(partAge)
	defer ticker.Stop()
	part, size := &linkv1.QueryResult{}, 0
	flush := func() error {
		if len(part.Lines) == 0 {
			return nil
		}
		full := part
		part, size = &linkv1.QueryResult{}, 0
		return send(full)
	}
	for {
		select {
		case line, open := <-lines:
			if !open {
				return flush()
			}
			part.Lines = append(part.Lines, line)
			if size += len(line.GetText()); len(part.Lines) < partLines && size < partBytes {
				continue
			}
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := flush(); err != nil {
			return err
		}
	}
}
