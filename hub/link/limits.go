package link

import (
	"context"
	"net"
	"sync"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// limit bounds one RPC for one caller: by cluster where it has a certificate, else by address.
type limit struct {
	// certificate says whether the caller must present one.
	certificate bool
	perSecond   rate.Limit
	burst       int
	// together is how many of one caller run at once; 0 is no bound.
	together int
}

// rpcLimits has a line for every RPC of the service.
var rpcLimits = map[string]limit{
	"Join":    {perSecond: 1, burst: 20},
	"Renew":   {perSecond: 1, burst: 20},
	"Connect": {certificate: true, perSecond: 2, burst: 20},
	"Fetch":   {certificate: true, perSecond: 100, burst: 500, together: 8},
	"Answer":  {certificate: true, perSecond: 20, burst: 100, together: maxQuestions},
}

// maxCallers bounds the table of callers; above it, it starts anew.
const maxCallers = 20000

type limits struct {
	mu      sync.Mutex
	buckets map[string]*rate.Limiter
	running map[string]int
}

func newLimits() *limits {
	return &limits{buckets: map[string]*rate.Limiter{}, running: map[string]int{}}
}

// take admits a call; the caller calls done when it ends.
func (l *limits) take(rpc, caller string) (done func(), err error) {
	bounds, key := rpcLimits[rpc], rpc+" "+caller
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buckets) > maxCallers {
		clear(l.buckets)
	}
	bucket := l.buckets[key]
	if bucket == nil {
		bucket = rate.NewLimiter(bounds.perSecond, bounds.burst)
		l.buckets[key] = bucket
	}
	if !bucket.Allow() || bounds.together > 0 && l.running[key] >= bounds.together {
		return nil, status.Errorf(codes.ResourceExhausted, "too many calls of %s: come again in a while", rpc)
	}
	l.running[key]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.running[key]--; l.running[key] == 0 {
			delete(l.running, key)
		}
	}, nil
}

func address(ctx context.Context) string {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	host, _, err := net.SplitHostPort(caller.Addr.String())
	if err != nil {
		return caller.Addr.String()
	}
	return host
}
