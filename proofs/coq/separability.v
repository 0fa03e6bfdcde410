(******************************************************************************)
(* A softmax over a rectangle is a product of softmaxes, one for each axis.   *)
(*                                                                            *)
(* In words. If the score of a token is a sum of scores, one for each of its  *)
(* coordinates, then its probability is the product of the probabilities of   *)
(* the coordinates: over two axes of any lengths    softmax_rectangle, and    *)
(* over any number of axes                          softmax_separable.        *)
(* The scores of a head are such sums, whatever its strength and target, on   *)
(* the grid or off it                               gaussian_separable.       *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Separability.
Variables (R : realFieldType) (E : exponential R).

Theorem softmax_rectangle (I J : finType) (row : I -> R) (column : J -> R) i j :
  softmax E (fun k => row k.1 + column k.2) (i, j)
  = softmax E row i * softmax E column j.
Proof.
rewrite /softmax /normalised /= mulf_div -expoD; congr (_ / _).
rewrite big_distrlr pair_bigA; apply: eq_bigr => k _.
by rewrite expoD.
Qed.

Variables (d : nat) (m : 'I_d -> nat).

Theorem softmax_separable (s : forall a, 'I_(m a).+1 -> R) (k : token m) :
  softmax E (fun j : token m => \sum_a s a (j a)) k
  = \prod_a softmax E (s a) (k a).
Proof.
rewrite /softmax /normalised expo_sum prodf_div; congr (_ / _).
rewrite -(sum_tokens (fun a i => E (s a i))).
by apply: eq_bigr => j _; rewrite expo_sum.
Qed.

(* One factor: the softmax over the coordinates 0, ..., n of an axis. *)
Definition axis_probability n (alpha t : R) (i : 'I_n.+1) :=
  softmax E (fun j : 'I_n.+1 => - alpha * (j%:R - t) ^+ 2) i.

Theorem gaussian_separable (alpha : R) (t : 'rV[R]_d) (k : token m) :
  softmax E (fun j => - alpha * norm2 (real R (position j) - t)) k
  = \prod_a axis_probability alpha (t 0 a) (k a).
Proof.
rewrite -softmax_separable; apply: eq_softmax => j.
by rewrite mulr_sumr; apply: eq_bigr => a _; rewrite !mxE -pmulrn.
Qed.

End Separability.
