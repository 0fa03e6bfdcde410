(******************************************************************************)
(* The two layers: multi-head self-attention and convolution.                 *)
(*                                                                            *)
(* In words. This file only says what the layers are; it is the one to read   *)
(* in order to know what the theorems are about.                              *)
(*                                                                            *)
(* Attention, with the parameters of Cordonnier, Loukas and Jaggi (2020). A   *)
(* head scores the token x_k, at displacement delta from a query x_q, by      *)
(*       x_q W_qry W_key^T x_k^T + x_q W_qry W_pos^T r_delta^T                *)
(*     +         u W_key^T x_k^T +         v W_pos^T r_delta^T          score *)
(* (rows; W_pos is the matrix that the paper writes with a hat, and r any     *)
(* encoding), turns the scores into probabilities by a softmax over all       *)
(* tokens, takes the mean of the x_k W_val, and multiplies it by W_out. The   *)
(* layer adds up its heads and a bias                               attention *)
(* In self-attention each token is a query           self_attention.          *)
(*                                                                            *)
(* Convolution. A tap has a displacement Delta and a matrix W. The output at  *)
(* q adds up image(q + Delta) W over all taps, and a bias        convolution. *)
(* Here the image is a function of all points: what it is off the input is    *)
(* the padding mode.                                                          *)
(*                                                                            *)
(* An image on the canvas is continued to all points by zeros, or by what     *)
(* the nearest token holds            zero_extension, nearest_extension.      *)
(*                                                                            *)
(* The layer that the theorems are about has one head for each tap, the       *)
(* quadratic encoding, W_qry = W_key = 0, W_pos = 1, v from encoding.v, and   *)
(* W_val W_out = W; u is anything, as it does not matter          tap_heads.  *)
(* Values of r dimensions are enough for W if and only if its rank is at most *)
(* r                                              rank_suffices, rank_needed. *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Dimensions: D_in of a token, D_k of a key, D_p of the relative encoding,   *)
(* D_h of a value, D_out of an output.                                        *)
Record head (R : ringType) (Din Dk Dp Dh Dout : nat) := Head {
  W_qry : 'M[R]_(Din, Dk);
  W_key : 'M[R]_(Din, Dk);
  W_pos : 'M[R]_(Dp, Dk);
  u : 'rV[R]_Dk;
  v : 'rV[R]_Dk;
  W_val : 'M[R]_(Din, Dh);
  W_out : 'M[R]_(Dh, Dout)
}.

Section Attention.
Variables (R : realFieldType) (E : exponential R).
Variables (Din Dk Dp Dh Dout : nat).
Variables (H K : finType).            (* the heads; the tokens *)
Variables (heads : H -> head R Din Dk Dp Dh Dout) (bias : 'rV[R]_Dout).
Implicit Types (x : 'rV[R]_Din) (X : K -> 'rV[R]_Din) (r : K -> 'rV[R]_Dp).

Definition score (h : head R Din Dk Dp Dh Dout) x_q x_k (r_k : 'rV[R]_Dp) : R :=
  dot (x_q *m W_qry h) (x_k *m W_key h) + dot (x_q *m W_qry h) (r_k *m W_pos h)
  + dot (u h) (x_k *m W_key h) + dot (v h) (r_k *m W_pos h).

(* What a query x_q attends to, if the tokens lie r_k away from it. *)
Definition probability (h : head R Din Dk Dp Dh Dout) X x_q r : K -> R :=
  softmax E (fun k => score h x_q (X k) (r k)).

Definition attention X x_q r : 'rV[R]_Dout :=
  bias + \sum_h (\sum_k probability (heads h) X x_q r k *: (X k *m W_val (heads h)))
         *m W_out (heads h).

Lemma eq_attention X x_q r r' : r =1 r' -> attention X x_q r = attention X x_q r'.
Proof.
move=> rr'; congr (_ + _); apply: eq_bigr => h _; congr (_ *m _).
apply: eq_bigr => k _; congr (_ *: _).
by apply: eq_softmax => j; rewrite rr'.
Qed.

End Attention.

Section SelfAttention.
Variables (R : realFieldType) (E : exponential R).
Variables (Din Dk Dp Dh Dout : nat) (H : finType) (d : nat) (m : 'I_d -> nat).
Variables (heads : H -> head R Din Dk Dp Dh Dout) (bias : 'rV[R]_Dout).
Variable encode : point d -> 'rV[R]_Dp.

(* The layer on an image: every token is a query. *)
Definition self_attention (X : token m -> 'rV[R]_Din) (q : token m) : 'rV[R]_Dout :=
  attention E heads bias X (X q) (fun k => encode (position k - position q)).

End SelfAttention.

(* Points may be those of the grid or those of the plane. *)
Definition convolution (R : ringType) (P : zmodType) (T : finType) cin cout
    (Delta : T -> P) (W : T -> 'M[R]_(cin, cout)) (bias : 'rV[R]_cout)
    (image : P -> 'rV[R]_cin) (q : P) : 'rV[R]_cout :=
  bias + \sum_tap image (q + Delta tap) *m W tap.

(* What an image is off its canvas. *)
Section Extensions.
Variables (R : ringType) (d : nat) (m : 'I_d -> nat) (cin : nat).
Variable X : token m -> 'rV[R]_cin.

Definition nearest_extension (t : point d) : 'rV[R]_cin := X (nearest m t).

Definition zero_extension (t : point d) : 'rV[R]_cin :=
  if on_canvas m t then X (nearest m t) else 0.

End Extensions.

(* All values of an image are at most B in size. *)
Definition bounded (R : numDomainType) (P : Type) cin (B : R)
    (image : P -> 'rV[R]_cin) := forall p i, `|image p 0 i| <= B.

Lemma zero_extension_bounded (R : realFieldType) d (m : 'I_d -> nat) cin (B : R)
    (X : token m -> 'rV[R]_cin) :
  bounded B X -> bounded B (zero_extension X).
Proof.
move=> X_le t c; rewrite /zero_extension; case: ifP => _; first exact: X_le.
by rewrite mxE normr0 (le_trans _ (X_le (nearest m 0) c)).
Qed.

(* The sum of the absolute weights that lead to an output channel. *)
Definition weight_sum (R : numDomainType) (T : finType) cin cout
    (W : T -> 'M[R]_(cin, cout)) (o : 'I_cout) : R :=
  \sum_tap \sum_i `|W tap i o|.

Section Construction.
Variables (R : realFieldType) (d cin cout Dh : nat) (T : finType).

(* One head for each tap. *)
Definition tap_heads (alpha : R) (Delta : T -> 'rV[R]_d)
    (Wval : T -> 'M[R]_(cin, Dh)) (Wout : T -> 'M[R]_(Dh, cout))
    (u : 'rV[R]_(1 + d)) (tap : T) : head R cin (1 + d) (1 + d) Dh cout :=
  Head 0 0 1%:M u (head_vector alpha (Delta tap)) (Wval tap) (Wout tap).

Lemma tap_score alpha Delta Wval Wout u tap x_q x_k delta :
  score (tap_heads alpha Delta Wval Wout u tap) x_q x_k (encoding delta)
  = - alpha * (norm2 (delta - Delta tap) - norm2 (Delta tap)).
Proof.
rewrite /score /= -quadratic_identity /dot !mulmx0 mulmx1 trmx0 mulmx0 mul0mx mulmx0.
by rewrite !mxE !add0r.
Qed.

End Construction.

(* A matrix is a product through r dimensions if and only if its rank is at   *)
(* most r: so many dimensions are needed for the values of a head.            *)
Theorem rank_suffices (F : fieldType) n p r (W : 'M[F]_(n, p)) :
  (\rank W <= r)%N ->
  exists (Wval : 'M[F]_(n, r)) (Wout : 'M[F]_(r, p)), Wval *m Wout = W.
Proof.
move=> rank_le.
exists (col_ebase W *m pid_mx (\rank W)), (pid_mx (\rank W) *m row_ebase W).
by rewrite mulmxA -[_ *m pid_mx _ *m pid_mx _]mulmxA pid_mx_id// mulmx_ebase.
Qed.

Theorem rank_needed (F : fieldType) n p r (Wval : 'M[F]_(n, r)) (Wout : 'M[F]_(r, p)) :
  (\rank (Wval *m Wout) <= r)%N.
Proof. exact: mulmx_max_rank. Qed.
