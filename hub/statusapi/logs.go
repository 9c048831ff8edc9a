package statusapi

import (
	"encoding/json"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
)

// serveLogs is StreamLogs over REST: one JSON object a line, {"result": LogLines}, as the lines come; an error after the first
// is a last object {"error": {code, message}}.
func (s *Service) serveLogs(w http.ResponseWriter, r *http.Request) {
	request, err := logsRequest(r)
	if err != nil {
		writeError(w, err)
		return
	}
	begun := false
	flusher := http.NewResponseController(w)
	line := func(key string, value json.RawMessage) error {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "application/x-ndjson")
		}
		if err := json.NewEncoder(w).Encode(map[string]json.RawMessage{key: value}); err != nil {
			return err
		}
		return flusher.Flush()
	}
	err = s.logs(r.Context(), request, func(lines *statusv1.LogLines) error {
		data, err := protojson.Marshal(lines)
		if err != nil {
			return err
		}
		return line("result", data)
	})
	switch {
	case err != nil && !begun:
		writeError(w, err)
	case err != nil:
		from := status.Convert(err)
		data, _ := json.Marshal(map[string]any{"code": int(from.Code()), "message": from.Message()})
		// Who reads is told if it still can be.
		_ = line("error", data)
	}
}

func logsRequest(r *http.Request) (*statusv1.LogsRequest, error) {
	query := r.URL.Query()
	request := &statusv1.LogsRequest{Namespace: r.PathValue("namespace"), Cluster: r.PathValue("cluster"), Bundle: r.PathValue("bundle"),
		Group: query.Get("group"), Kind: query.Get("kind"), ObjectNamespace: query.Get("object_namespace"), Name: query.Get("name"),
		Container: query.Get("container"), Since: query.Get("since")}
	for name, into := range map[string]*bool{"follow": &request.Follow, "previous": &request.Previous} {
		if text := query.Get(name); text != "" {
			value, err := strconv.ParseBool(text)
			if err != nil {
				return nil, status.Errorf(codes.InvalidArgument, "%s %q: want true or false", name, text)
			}
			*into = value
		}
	}
	if text := query.Get("tail"); text != "" {
		tail, err := strconv.ParseInt(text, 10, 64)
		if err != nil || tail < 0 {
			return nil, status.Errorf(codes.InvalidArgument, "tail %q: want a number of lines", text)
		}
		request.Tail = tail
	}
	return request, nil
}
