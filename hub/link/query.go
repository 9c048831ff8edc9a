package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

var (
	// ErrNotConnected says that no agent of the cluster is connected to this process.
	ErrNotConnected = errors.New("the cluster's agent is not connected")
	// ErrCannotAnswer says that the cluster's agent is too old to be asked.
	ErrCannotAnswer = errors.New("the cluster's agent is too old to answer queries: upgrade it")
)

// maxQuestions is how many queries one cluster is asked at a time; its agent works on fewer.
const maxQuestions = 16

// question is a query on its way, and whoever waits for its answer.
type question struct {
	// uid of the cluster that may answer.
	uid   string
	ctx   context.Context
	parts chan *linkv1.QueryResult
	// claimed is true once an agent answers; end is closed when no more parts come.
	claimed bool
	end     chan struct{}
}

// questions that wait for an answer, by the query's id.
type questions struct {
	mu sync.Mutex
	of map[string]*question
}

// Ask sends a query to the agent that is connected to this process, and hands its answer to take, part after part. It
// returns when the last part was taken; when ctx ends, the agent is told that nobody waits any more.
func (s *Service) Ask(ctx context.Context, uid string, query *linkv1.Query, take func(*linkv1.QueryResult) error) error {
	st := s.streamOf(uid)
	switch {
	case st == nil:
		return ErrNotConnected
	case !st.canAnswer.Load():
		return ErrCannotAnswer
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q := &question{uid: uid, ctx: ctx, parts: make(chan *linkv1.QueryResult), end: make(chan struct{})}
	if err := s.questions.add(query.GetId(), q); err != nil {
		return err
	}
	defer s.questions.remove(query.GetId())
	st.ask(query)
	for {
		select {
		case part := <-q.parts:
			if err := take(part); err != nil || part.GetLast() {
				return err
			}
		case <-q.end:
			return status.Error(codes.Unavailable, "the agent broke off its answer")
		case <-st.grpc.Context().Done():
			return ErrNotConnected
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Has says whether a cluster's agent is connected to this process.
func (s *Service) Has(uid string) bool { return s.streamOf(uid) != nil }

// Answer takes the answer to a query from the agent that was asked.
func (s *Service) Answer(parts grpc.ClientStreamingServer[linkv1.QueryResult, linkv1.AnswerEnd]) error {
	ctx := parts.Context()
	agent, err := s.authenticate(ctx)
	if err != nil {
		return err
	}
	done, err := s.limits.take("Answer", agent.UID)
	if err != nil {
		return err
	}
	defer done()
	var q *question
	defer func() {
		if q != nil {
			close(q.end)
		}
	}()
	for {
		part, err := parts.Recv()
		if errors.Is(err, io.EOF) {
			return parts.SendAndClose(&linkv1.AnswerEnd{})
		}
		if err != nil {
			return err
		}
		if q == nil {
			if q = s.questions.claim(part.GetId(), agent.UID); q == nil {
				return status.Error(codes.NotFound, "this query was not asked, or nobody waits for its answer any more")
			}
		}
		select {
		case q.parts <- part:
			if part.GetLast() {
				return parts.SendAndClose(&linkv1.AnswerEnd{})
			}
		case <-q.ctx.Done():
			return status.Error(codes.Canceled, "nobody waits for the answer any more")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ask has a query sent. It never blocks; the stream takes it up when it gets to it.
func (st *stream) ask(query *linkv1.Query) {
	st.asking.Lock()
	st.asked = append(st.asked, query)
	st.asking.Unlock()
	st.signal()
}

// takeAsked are the queries to send, as messages.
func (st *stream) takeAsked() []*linkv1.HubMessage {
	st.asking.Lock()
	defer st.asking.Unlock()
	var messages []*linkv1.HubMessage
	for _, query := range st.asked {
		messages = append(messages, &linkv1.HubMessage{Message: &linkv1.HubMessage_Query{Query: query}})
	}
	st.asked = nil
	return messages
}

// hello remembers from Hello whether the agent answers queries.
func (st *stream) hello(message *linkv1.AgentMessage) {
	if hello := message.GetHello(); hello != nil {
		st.canAnswer.Store(slices.Contains(hello.GetCapabilities(), content.CapabilityQueries))
	}
}

// add enters a question, unless its cluster is asked too much already.
func (q *questions) add(id string, one *question) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.of == nil {
		q.of = map[string]*question{}
	}
	together := 0
	for _, other := range q.of {
		if other.uid == one.uid {
			together++
		}
	}
	if together >= maxQuestions {
		return status.Errorf(codes.ResourceExhausted, "the cluster is asked %d questions already: come again in a while", together)
	}
	if q.of[id] != nil {
		return fmt.Errorf("query %q is asked already", id)
	}
	q.of[id] = one
	return nil
}

// claim gives a question to the one answer that it may have; nil where there is none that this cluster was asked.
func (q *questions) claim(id, uid string) *question {
	q.mu.Lock()
	defer q.mu.Unlock()
	one := q.of[id]
	if one == nil || one.uid != uid || one.claimed {
		return nil
	}
	one.claimed = true
	return one
}

func (q *questions) remove(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.of, id)
}
