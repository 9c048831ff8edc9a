package host

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxLine of a plugin's log; the rest of a longer one is dropped.
	maxLine = 8 << 10
	// linesBurst and linesPerSecond of one process reach the hub's log; others are counted.
	linesBurst     = 500
	linesPerSecond = 50
	// floodBurst and floodPerSecond are bytes of output beyond which a process is killed.
	floodBurst     = 8 << 20
	floodPerSecond = 1 << 20
)

// bucket allows a rate with bursts. It is safe for concurrent use.
type bucket struct {
	mu          sync.Mutex
	burst, rate float64
	filled      float64
	last        time.Time
	now         func() time.Time
}

func newBucket(burst, perSecond float64, now func() time.Time) *bucket {
	return &bucket{burst: burst, rate: perSecond, filled: burst, last: now(), now: now}
}

// take says whether amount is within the rate.
func (b *bucket) take(amount float64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	b.filled = min(b.burst, b.filled+b.rate*now.Sub(b.last).Seconds())
	b.last = now
	if b.filled < amount {
		return false
	}
	b.filled -= amount
	return true
}

// metered calls flooded when what is read exceeds the bucket.
type metered struct {
	io.ReadCloser
	bucket  *bucket
	flooded func()
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	if n > 0 && !m.bucket.take(float64(n)) {
		m.flooded()
	}
	return n, err
}

// lines puts the log lines of a process into the hub's log, and remembers what a dying process said.
type lines struct {
	log   *slog.Logger
	limit *bucket

	mu      sync.Mutex
	dropped int
	dying   string
}

// copy reads until the end.
func (l *lines) copy(from io.Reader) {
	reader := bufio.NewReaderSize(from, maxLine)
	for {
		line, prefix, err := reader.ReadLine()
		if err != nil {
			break
		}
		l.line(string(line))
		for prefix && err == nil {
			_, prefix, err = reader.ReadLine()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped > 0 {
		l.log.Warn("log lines were dropped: there were too many", "lines", l.dropped)
		l.dropped = 0
	}
}

func (l *lines) line(text string) {
	level, message, attrs := parseLine(text)
	l.mu.Lock()
	if l.dying == "" && (strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ")) {
		l.dying, level = message, slog.LevelError
	} else if l.dying != "" && attrs == nil {
		// The stack that follows a panic.
		level = slog.LevelDebug
	}
	if !l.limit.take(1) {
		l.dropped++
		l.mu.Unlock()
		return
	}
	if l.dropped > 0 {
		attrs = append(attrs, slog.Int("dropped", l.dropped))
		l.dropped = 0
	}
	l.mu.Unlock()
	l.log.LogAttrs(context.Background(), level, message, attrs...)
}

// lastWords is the panic that the process died of; "" where there was none.
func (l *lines) lastWords() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dying
}

// parseLine reads a line of slog's or hclog's JSON; any other text is a message of its own.
func parseLine(text string) (slog.Level, string, []slog.Attr) {
	var fields map[string]any
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &fields) != nil {
		return slog.LevelInfo, text, nil
	}
	level, message := slog.LevelInfo, ""
	for _, key := range []string{slog.LevelKey, "@level"} {
		if name, ok := fields[key].(string); ok {
			_ = level.UnmarshalText([]byte(strings.ToUpper(name)))
			delete(fields, key)
		}
	}
	for _, key := range []string{slog.MessageKey, "@message"} {
		if said, ok := fields[key].(string); ok {
			message = said
			delete(fields, key)
		}
	}
	delete(fields, slog.TimeKey)
	delete(fields, "@timestamp")
	attrs := make([]slog.Attr, 0, len(fields))
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		attrs = append(attrs, slog.Any(key, fields[key]))
	}
	return level, message, attrs
}

// writer takes what a plugin printed.
func (l *lines) writer(bucket *bucket, flooded func()) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		if !bucket.take(float64(len(p))) {
			flooded()
		}
		for line := range strings.Lines(string(p)) {
			if line = strings.TrimRight(line, "\n"); line != "" {
				l.line(line)
			}
		}
		return len(p), nil
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// size prints bytes for people.
func size(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }
