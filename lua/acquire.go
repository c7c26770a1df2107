package lua

import "context"

// acquire returns a VM, locked, for a request. hint spreads requests over VMs.
func (s *Scripts) acquire(hint uint64) (*shard, error) {
	sh, err := s.pick(hint)
	if err == nil {
		sh.inFlight++
	}
	return sh, err
}

// acquireWithin is acquire for who waits no longer than ctx lasts. What it has begun to
// wait for is given back when it comes.
func (s *Scripts) acquireWithin(ctx context.Context, hint uint64) (*shard, error) {
	type acquired struct {
		sh  *shard
		err error
	}
	handed := make(chan acquired)
	go func() {
		sh, err := s.acquire(hint)
		select {
		case handed <- acquired{sh, err}:
		case <-ctx.Done():
			if err == nil {
				s.release(sh)
			}
		}
	}()
	select {
	case a := <-handed:
		if a.err == nil && ctx.Err() != nil {
			s.release(a.sh)
			break
		}
		return a.sh, a.err
	case <-ctx.Done():
	}
	return nil, context.Cause(ctx)
}

func (s *Scripts) pick(hint uint64) (*shard, error) {
	n := uint64(len(s.shards))
	var made *shard
	missing := false
	for i := range n {
		sh := s.shards[(hint+i)%n].Load()
		switch {
		case sh == nil:
			missing = true
		case sh.lock.TryLock():
			if !sh.lock.Retired() {
				return sh, nil
			}
			sh.lock.Unlock() // it has just been shed
			missing = true
		case made == nil || sh.lock.Waiting() < made.lock.Waiting():
			made = sh
		}
	}
	if made == nil {
		return s.first()
	}
	if missing {
		s.grow()
	}
	if made.lock.Waiting() >= s.options.Config.MaxWaiting {
		return nil, ErrBusy
	}
	made.lock.Lock()
	if made.lock.Retired() {
		made.lock.Unlock()
		return s.first()
	}
	return made, nil
}
