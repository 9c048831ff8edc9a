package check

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// event is what the check reads of one line of an API server's audit log.
type event struct {
	Stage    string    `json:"stage"`
	Verb     string    `json:"verb"`
	URI      string    `json:"requestURI"`
	Agent    string    `json:"userAgent"`
	Received time.Time `json:"requestReceivedTimestamp"`
	User     user      `json:"user"`
	As       *user     `json:"impersonatedUser"`
	Object   object    `json:"objectRef"`
	Status   status    `json:"responseStatus"`
}

type user struct {
	Username string `json:"username"`
}

type object struct {
	Group     string `json:"apiGroup"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Subresource such as status; "" of the object itself.
	Subresource string `json:"subresource"`
}

type status struct {
	Code int `json:"code"`
}

// readAudit returns the completed requests of a log and its rotated parts that came at or after since, in order of time.
func readAudit(path string, since time.Time) ([]event, error) {
	base := strings.TrimSuffix(path, filepath.Ext(path))
	rotated, err := filepath.Glob(base + "-*" + filepath.Ext(path))
	if err != nil {
		return nil, err
	}
	var events []event
	for _, part := range append(rotated, path) {
		info, err := os.Stat(part)
		if err != nil {
			return nil, fmt.Errorf("cannot read audit log: %w", err)
		}
		if info.ModTime().Before(since) {
			continue
		}
		file, err := os.Open(part)
		if err != nil {
			return nil, fmt.Errorf("cannot read audit log: %w", err)
		}
		found, err := parseAudit(file, since)
		_ = file.Close()
		if err != nil {
			return nil, fmt.Errorf("cannot read audit log %q: %w", part, err)
		}
		events = append(events, found...)
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.Received.Compare(b.Received) })
	return events, nil
}

func parseAudit(in io.Reader, since time.Time) ([]event, error) {
	var events []event
	reader := bufio.NewReader(in)
	for {
		line, err := reader.ReadBytes('\n')
		if err == io.EOF {
			return events, nil // a last line without its end is still being written
		}
		if err != nil {
			return nil, err
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("line %.80q: %w", line, err)
		}
		if e.Stage == "ResponseComplete" && !e.Received.Before(since) {
			events = append(events, e)
		}
	}
}

// agentUser is how an agent authenticates in its cluster.
const agentUser = "system:serviceaccount:periplus-system:periplus-agent"

// writes are requests that the agent made and that may have changed something, in its own namespace (what it keeps for
// itself) or outside (what it delivers).
func writes(events []event, own bool) []event {
	var out []event
	for _, e := range events {
		if e.User.Username != agentUser || strings.Contains(e.URI, "dryRun=All") {
			continue
		}
		if !slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, e.Verb) {
			continue
		}
		// Asking what one may do is a create that changes nothing.
		if strings.HasSuffix(e.Object.Resource, "reviews") {
			continue
		}
		if (e.Object.Namespace == "periplus-system") == own {
			out = append(out, e)
		}
	}
	return out
}

// summary names what was written, at most five of them, for a person.
func summary(events []event) string {
	names := make([]string, 0, 5)
	for _, e := range events[:min(5, len(events))] {
		names = append(names, fmt.Sprintf("%s %s %s/%s at %s", e.Verb, e.Object.Resource, e.Object.Namespace, e.Object.Name, e.Received.Format("15:04:05.000")))
	}
	return strings.Join(names, ", ")
}
