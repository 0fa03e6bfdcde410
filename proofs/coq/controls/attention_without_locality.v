(* A missing hypothesis: the error of the main theorem without alpha > 0. The *)
(* same script proves it with that hypothesis first. Without it e may be one, *)
(* as for alpha = 0, where attention is uniform over the canvas, however      *)
(* large that is.                                                             *)
(* must fail: No applicable tactic *)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers smoothing leak.
From Expressivity Require Import convergence.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Control.
Variables (R : realFieldType) (E : exponential R).
Variables (d cin cout Dh : nat) (T : finType) (Delta : T -> point d).
Variables (Wval : T -> 'M[R]_(cin, Dh)) (Wout : T -> 'M[R]_(Dh, cout)).
Variables (u : 'rV[R]_(1 + d)) (bias : 'rV[R]_cout).
Variables (m : 'I_d -> nat) (X : token m -> 'rV[R]_cin) (B alpha : R).
Variables (x_q : 'rV[R]_cin) (q : point d) (o : 'I_cout).

Let W tap := Wval tap *m Wout tap.

Definition close :=
  `|(conv_attention E Delta Wval Wout u bias alpha X x_q q
     - convolution Delta W bias (nearest_extension X) q) 0 o|
  <= weight_sum W o * (2%:R * B * leak_bound (E (- alpha)) d).

Theorem with_locality : bounded B X -> 0 < alpha -> close.
Proof. by move=> *; apply: attention_error_any_size. Qed.

Theorem without_locality : bounded B X -> close.
Proof. by move=> *; apply: attention_error_any_size. Qed.

End Control.
