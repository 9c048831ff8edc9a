package main

import "math"

// point is a value at a time.
type point struct{ at, value float64 }

// slope of the straight line through points by least squares, and how far off it may be: the true slope lies within more or
// less so much with 95 % confidence. Fewer than three points say nothing.
func slope(points []point) (per, within float64, ok bool) {
	n := float64(len(points))
	if n < 3 {
		return 0, 0, false
	}
	var meanAt, meanValue float64
	for _, p := range points {
		meanAt, meanValue = meanAt+p.at/n, meanValue+p.value/n
	}
	var spread, product float64
	for _, p := range points {
		spread += (p.at - meanAt) * (p.at - meanAt)
		product += (p.at - meanAt) * (p.value - meanValue)
	}
	if spread == 0 {
		return 0, 0, false
	}
	per = product / spread
	var left float64
	for _, p := range points {
		rest := p.value - meanValue - per*(p.at-meanAt)
		left += rest * rest
	}
	return per, student(len(points)-2) * math.Sqrt(left/(n-2)/spread), true
}

// student is the 97.5 % quantile of Student's t by degrees of freedom, to 1 % from three on (Abramowitz and Stegun 26.7.5).
func student(freedom int) float64 {
	switch freedom {
	case 1:
		return 12.706
	case 2:
		return 4.303
	}
	const z = 1.959964
	v := float64(freedom)
	return z + (z*z*z+z)/(4*v) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*v*v) + (3*math.Pow(z, 7)+19*math.Pow(z, 5)+17*z*z*z-15*z)/(384*v*v*v)
}
