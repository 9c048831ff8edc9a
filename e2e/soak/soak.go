package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/periplus-fleet/periplus/e2e/member"
)

const (
	// bundles and perBundle of a full cluster. No more than ten go with a bundle without a person's word.
	bundles   = 50
	perBundle = 10
	// churn of a round lasts so long, then it has to become quiet in time.
	churnTime = 40 * time.Second
	patience  = 3 * time.Minute
	// pace between two actions.
	pace = 250 * time.Millisecond
	// awayTime of the hub, once a round.
	awayTime = 5 * time.Second
	// startTime of an agent: until then a repair waits for the start and says nothing of repairs.
	startTime = 10 * time.Second
	mib       = 1 << 20
)

// soaking is one run.
type soaking struct {
	member *member.Member
	agent  *member.Agent
	client metadata.Interface
	random *rand.Rand
	ledger *ledger
	meter  meter
	result Result

	// fleet is what the hub wants: objects of each bundle by number, with their values.
	fleet map[string]map[int]string
	// serial makes values that were never used.
	serial int
}

func soak(ctx context.Context, duration time.Duration, seed uint64) (Result, error) {
	s := &soaking{random: rand.New(rand.NewPCG(seed, seed)), ledger: newLedger(), fleet: map[string]map[int]string{}}
	s.result.Seed = seed
	err := s.run(ctx, duration)
	s.result.Doubled, s.result.DriftRepair = len(s.ledger.Doubled()), percentilesOf(s.ledger.Repairs())
	for i, text := range s.ledger.Doubled() {
		if i < 10 {
			fmt.Fprintln(os.Stderr, "soak: doubled:", text)
		}
	}
	s.result.Memory, s.result.CPU = s.meter.memory(), s.meter.millicores()
	if s.member != nil {
		err = errors.Join(err, s.member.Stop())
	}
	return s.result, err
}

func (s *soaking) run(ctx context.Context, duration time.Duration) (err error) {
	if s.member, err = member.Start(ctx, member.Config{Profile: os.Getenv("PROFILE")}); err != nil {
		return err
	}
	config := rest.CopyConfig(s.member.Admin)
	config.QPS = -1
	if s.client, err = metadata.NewForConfig(config); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	if err := s.follow(watching); err != nil {
		return err
	}
	for b := range bundles {
		if err := s.add(name(b)); err != nil {
			return err
		}
	}
	if s.agent, err = s.member.StartAgent(ctx); err != nil {
		return err
	}
	if err := s.quiet(ctx); err != nil {
		return err
	}
	began := time.Now()
	for time.Since(began) < duration {
		// The last two thirds are one life of the agent: what grows slowly shows only there.
		if err := s.round(ctx, time.Since(began) < duration/3); err != nil {
			return err
		}
		s.result.Rounds++
		s.result.Minutes = time.Since(began).Minutes()
		fmt.Fprintf(os.Stderr, "soak: round %d after %.1f minutes: %d objects changed, %d lost, %d doubled, %.1f MiB\n", s.result.Rounds,
			s.result.Minutes, s.result.Changes.Objects, s.result.Lost, len(s.ledger.Doubled()), s.meter.last()/mib)
	}
	return nil
}

// round is churn, with a failure in its midst, until all is quiet again.
func (s *soaking) round(ctx context.Context, restarts bool) error {
	s.meter.round()
	began := time.Now()
	failed, returned := false, false
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for time.Since(began) < churnTime {
		if !failed && time.Since(began) > churnTime/4 {
			failed = true
			s.member.Hub.Leave()
			s.result.Changes.HubAway++
			if restarts {
				if err := s.restart(ctx); err != nil {
					return err
				}
			}
		}
		if failed && !returned && time.Since(began) > churnTime/4+awayTime {
			returned = true
			if err := s.member.Hub.Return(ctx); err != nil {
				return err
			}
		}
		if err := s.act(ctx); err != nil {
			return err
		}
		if err := s.meter.sample(s.agent); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return s.quiet(ctx)
}

// restart ends the agent, by turns as a rollout does and as a failing machine does.
func (s *soaking) restart(ctx context.Context) (err error) {
	if s.random.IntN(2) == 0 {
		s.result.Changes.Restarts++
		err = s.agent.Stop()
	} else {
		s.result.Changes.Kills++
		err = s.agent.Kill()
	}
	if err != nil {
		return err
	}
	s.meter.newLife()
	s.agent, err = s.member.StartAgent(ctx)
	return err
}

// quiet waits until the hub knows that all is ready, and has the oracle look until it finds nothing to complain of. What it
// still complains of at the end is lost.
func (s *soaking) quiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.member.Hub.Settle(ctx); err != nil {
		return fmt.Errorf("the hub does not hear that all is ready: %w", err)
	}
	var broken error
	err := member.Eventually(ctx, func() string {
		found, err := s.found(ctx)
		if err != nil {
			broken = err
			return ""
		}
		return s.ledger.Complaint(found)
	})
	if broken == nil && err != nil {
		s.result.Lost++
	}
	return errors.Join(broken, err, s.count())
}

// count adds up what the agent asked.
func (s *soaking) count() error {
	asked, err := s.member.Audit.Calls()
	for _, call := range asked {
		s.result.Calls.All++
		switch {
		case call.Write() && call.Tenant:
			s.result.Calls.Writes++
		case call.Write():
			s.result.Calls.Own++
		}
		if call.Code >= 400 && call.Code != 404 {
			s.result.Calls.Refused++
		}
	}
	return err
}
