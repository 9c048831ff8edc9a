package link

import "time"

const (
	// A bundle reports reportBurst times at once, and then once in reportEvery.
	reportBurst = 3
	reportEvery = time.Second / 2
)

// bucket holds the tokens of one bundle: each report takes one.
type bucket struct {
	tokens float64
	at     time.Time
}

func newBucket(now time.Time) *bucket { return &bucket{tokens: reportBurst, at: now} }

// take takes a token, or says how long there is none.
func (b *bucket) take(now time.Time) (wait time.Duration) {
	b.refill(now)
	if b.tokens < 1 {
		return max(time.Duration((1-b.tokens)*float64(reportEvery)), time.Millisecond)
	}
	b.tokens--
	return 0
}

// full buckets need not be remembered.
func (b *bucket) full(now time.Time) bool {
	b.refill(now)
	return b.tokens == reportBurst
}

func (b *bucket) refill(now time.Time) {
	// A clock that was set back only delays.
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(b.tokens+float64(passed)/float64(reportEvery), reportBurst)
	}
	b.at = now
}

// soonest of two waits, of which 0 is none.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}
