(******************************************************************************)
(* The smoothing identity: attention is a convolution of a smoothed image.    *)
(*                                                                            *)
(* In words. The layer with one head for each tap, all of strength alpha, is  *)
(* the convolution itself, without padding, of the image                      *)
(*   (G X)(t) = sum over tokens k of softmax_k (- alpha |k - t|^2) X_k        *)
(*                                                       smoothing_identity   *)
(* Heads with strengths of their own smooth the image each for itself         *)
(*                                                       smoothing_strengths  *)
(* Tokens that hold zeros may be left out of the sum    smoothing_zero_tokens *)
(* That is exact, for every alpha, every canvas, every query on the canvas or *)
(* off it, and any centers, on the grid or off it; content of the query and   *)
(* u play no part. The weights of G are products, one factor an axis, by      *)
(* gaussian_separable. At targets on the grid they are normalised powers of   *)
(* e = exp(- alpha)                                       probability_powers. *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Smoothing.
Variables (R : realFieldType) (E : exponential R).
Variables (d : nat) (m : 'I_d -> nat) (cin cout Dh : nat) (T : finType).
Implicit Types (X : token m -> 'rV[R]_cin) (q t : 'rV[R]_d).

Definition gaussian (alpha : R) t : token m -> R :=
  softmax E (fun k => - alpha * norm2 (real R (position k) - t)).

Definition smoothing alpha X t : 'rV[R]_cin := \sum_k gaussian alpha t k *: X k.

(* Tokens that hold zeros weigh in the normaliser alone. *)
Theorem smoothing_zero_tokens alpha X t :
  smoothing alpha X t = \sum_(k | X k != 0) gaussian alpha t k *: X k.
Proof.
rewrite /smoothing (bigID (fun k => X k != 0)) /= [X in _ + X]big1 ?addr0// => k.
by rewrite negbK => /eqP->; rewrite scaler0.
Qed.

Lemma gaussian_sum1 alpha t : \sum_k gaussian alpha t k = 1.
Proof. exact: softmax_sum1 (nearest m 0). Qed.

Variables (Delta : T -> 'rV[R]_d) (u : 'rV[R]_(1 + d)).
Variables (Wval : T -> 'M[R]_(cin, Dh)) (Wout : T -> 'M[R]_(Dh, cout)).
Variable bias : 'rV[R]_cout.

Lemma tap_probability alpha tap X x_q q :
  probability E (tap_heads alpha Delta Wval Wout u tap) X x_q
    (fun k => encoding (real R (position k) - q))
  =1 gaussian alpha (q + Delta tap).
Proof.
move=> k; rewrite -[LHS](softmax_shift _ _ (- (alpha * norm2 (Delta tap)))).
apply: eq_softmax => j.
by rewrite tap_score mulrBr [- alpha * norm2 (Delta tap)]mulNr opprK addrK opprD addrA.
Qed.

Theorem smoothing_strengths (alpha : T -> R) X x_q q :
  attention E (fun tap => tap_heads (alpha tap) Delta Wval Wout u tap) bias X x_q
    (fun k => encoding (real R (position k) - q))
  = bias + \sum_tap smoothing (alpha tap) X (q + Delta tap) *m (Wval tap *m Wout tap).
Proof.
congr (_ + _); apply: eq_bigr => tap _; rewrite mulmxA; congr (_ *m _).
rewrite mulmx_suml; apply: eq_bigr => k _.
by rewrite tap_probability -scalemxAl.
Qed.

Theorem smoothing_identity alpha X x_q q :
  attention E (tap_heads alpha Delta Wval Wout u) bias X x_q
    (fun k => encoding (real R (position k) - q))
  = convolution Delta (fun tap => Wval tap *m Wout tap) bias (smoothing alpha X) q.
Proof. exact: (smoothing_strengths (fun=> alpha)). Qed.

(* At a point of the grid the weights are powers of e. *)
Definition powers (e : R) (t : point d) : token m -> R :=
  normalised (fun k => e ^+ distance2 (position k) t).

Theorem probability_powers alpha (t : point d) :
  gaussian alpha (real R t) =1 powers (E (- alpha)) t.
Proof.
move=> k; rewrite /powers -softmax_powers; apply: eq_softmax => j.
by rewrite norm2_real.
Qed.

End Smoothing.
