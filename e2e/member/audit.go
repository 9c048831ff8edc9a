package member

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// Call is one request of the agent to the API server.
type Call struct {
	Verb string
	// Resource with its subresource, if any; "" of discovery.
	Resource string
	// Tenant calls are made as the tenant's ServiceAccount, the others for what the agent keeps for itself.
	Tenant   bool
	Name     string
	Received time.Time
	Code     int
}

// Write says that the call may have changed something.
func (c Call) Write() bool {
	return c.Verb != "get" && c.Verb != "list" && c.Verb != "watch"
}

// Audit reads an API server's audit log as it grows.
type Audit struct {
	path   string
	offset int64
}

// Skip forgets what is in the log.
func (a *Audit) Skip() error {
	info, err := os.Stat(a.path)
	if err != nil {
		return fmt.Errorf("cannot read the audit log: %w", err)
	}
	a.offset = info.Size()
	return nil
}

// Calls of the agent since the last time. A watch is there once, when it began.
func (a *Audit) Calls() ([]Call, error) {
	file, err := os.Open(a.path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(a.offset, io.SeekStart); err != nil {
		return nil, fmt.Errorf("cannot read the audit log: %w", err)
	}
	data, err := io.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the audit log: %w", err)
	}
	// A last line without its end is still being written.
	data = data[:bytes.LastIndexByte(data, '\n')+1]
	a.offset += int64(len(data))
	return parse(data)
}

func parse(data []byte) ([]Call, error) {
	var calls []Call
	for line := range bytes.Lines(data) {
		if !bytes.Contains(line, []byte(agentUser)) {
			continue
		}
		var event struct {
			Stage, Verb              string
			User                     struct{ Username string }
			ImpersonatedUser         *struct{ Username string }
			ObjectRef                struct{ Resource, Subresource, Namespace, Name string }
			ResponseStatus           struct{ Code int }
			RequestReceivedTimestamp time.Time
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("cannot read line %.80q of the audit log: %w", line, err)
		}
		last := "ResponseComplete"
		if event.Verb == "watch" {
			last = "ResponseStarted"
		}
		if event.User.Username != agentUser || event.Stage != last {
			continue
		}
		resource := event.ObjectRef.Resource
		if event.ObjectRef.Subresource != "" {
			resource += "/" + event.ObjectRef.Subresource
		}
		calls = append(calls, Call{Verb: event.Verb, Resource: resource, Tenant: event.ImpersonatedUser != nil,
			Name: event.ObjectRef.Name, Received: event.RequestReceivedTimestamp, Code: event.ResponseStatus.Code})
	}
	return calls, nil
}
