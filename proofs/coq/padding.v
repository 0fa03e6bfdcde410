(******************************************************************************)
(* Conv2d: kernel sizes, strides, dilations and the four padding modes.       *)
(*                                                                            *)
(* In words. Spelled as in torch, over any number of axes. Along axis a the   *)
(* kernel has taps 0, ..., kappa_a, the input has pixels 0, ..., n_a, and     *)
(*   y(j) = bias + sum over taps i of image(s j + r i - p) W_i         conv_nd *)
(* for outputs j with s j + r kappa <= n + p + p' (stride s, dilation r,      *)
(* padding p before and p' after). What the image is off the input is the     *)
(* padding mode: zero, the reflected pixel, the one on the other side, or the *)
(* nearest one.                                                               *)
(*                                                                            *)
(* For the first three the tokens of the attention layer are the padded       *)
(* image, and self-attention at the token s j + anchor, with centers          *)
(* r i - anchor, is the convolution of the smoothed image  padded_smoothing   *)
(* and computes y(j) up to sum |W| * 2 B * 2 d e / (1 + e)                    *)
(*                          conv_zeros, conv_reflect, conv_circular           *)
(* For replicate padding no token is added: the tokens are the input itself.  *)
(* Targets may lie off it, and if padding is wide queries as well; the        *)
(* identity and the bound are the same       bare_smoothing, conv_replicate   *)
(* All four converge as alpha grows   conv_zeros_converges, conv_converges,   *)
(*                                                  conv_replicate_converges  *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers smoothing leak.
From Expressivity Require Import convergence.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Vectors of natural numbers, one an axis, as points. *)
Definition natural d (n : 'I_d -> nat) : point d := \row_a (n a)%:Z.

(* Off the input an image may be continued by what another pixel of it holds: *)
(* as torch does for reflect padding below the size of the input and circular *)
(* padding up to it; torch refuses more.                                      *)
Section Extensions.
Variables (R : ringType) (d cin : nat) (n : 'I_d -> nat) (X : token n -> 'rV[R]_cin).

Definition folded (fold : int -> int -> int) (t : point d) : 'rV[R]_cin :=
  X (nearest n (\row_a fold (n a)%:Z (t 0 a))).

Definition reflect := folded (fun last t => last - `|last - `|t| |).
Definition circular := folded (fun last t => (t %% (last + 1))%Z).

End Extensions.

Section Conv.
Variables (R : realFieldType) (E : exponential R) (d cin cout Dh : nat).
Variables (kappa stride dilation before after : 'I_d -> nat).
Implicit Types (i : token kappa) (j : 'I_d -> nat).

Definition conv_nd (W : token kappa -> 'M[R]_(cin, cout)) (bias : 'rV[R]_cout)
    (image : point d -> 'rV[R]_cin) j : 'rV[R]_cout :=
  bias + \sum_(i : token kappa)
    image (natural (fun a => stride a * j a + dilation a * i a)%N - natural before)
    *m W i.

(* The attention layer: a head for each tap. Queries lie at a distance        *)
(* (anchor) from the first tap, so that they are tokens of the canvas.        *)
Variable anchor : 'I_d -> nat.
Hypothesis anchor_le : forall a, (anchor a <= dilation a * kappa a)%N.
Variables (Wval : token kappa -> 'M[R]_(cin, Dh)).
Variables (Wout : token kappa -> 'M[R]_(Dh, cout)).
Variables (u : 'rV[R]_(1 + d)) (bias : 'rV[R]_cout).

Definition centers i : point d :=
  natural (fun a => dilation a * i a)%N - natural anchor.

Definition query j : point d := natural (fun a => stride a * j a + anchor a)%N.

Definition conv_heads alpha :=
  tap_heads alpha (fun i => real R (centers i)) Wval Wout u.

Definition encode (delta : point d) := encoding (real R delta).

Let W i := Wval i *m Wout i.

Lemma target j i :
  query j + centers i = natural (fun a => stride a * j a + dilation a * i a)%N.
Proof. by apply/rowP => a; rewrite !mxE !PoszD addrACA subrr addr0. Qed.

(* What the layer computes for output j on an image without padding tokens.   *)
(* If padding is wide, a query may lie off the image; its content x_q does    *)
(* not matter.                                                                *)
Definition bare_attention alpha n (X : token n -> 'rV[R]_cin) x_q j : 'rV[R]_cout :=
  conv_attention E centers Wval Wout u bias alpha X x_q (query j - natural before).

Lemma bare_convolution (image : point d -> 'rV[R]_cin) j :
  convolution centers W bias image (query j - natural before) = conv_nd W bias image j.
Proof. by congr (_ + _); apply: eq_bigr => i _; rewrite addrAC target. Qed.

(* On the image it is self-attention. *)
Lemma bare_attention_self alpha n (X : token n -> 'rV[R]_cin) j :
    on_canvas n (query j - natural before) ->
  let q := nearest n (query j - natural before) in
  self_attention E (conv_heads alpha) bias encode X q = bare_attention alpha X (X q) j.
Proof.
by move=> q_on q; rewrite /bare_attention conv_attention_self position_nearest.
Qed.

Theorem bare_smoothing alpha n (X : token n -> 'rV[R]_cin) x_q j :
  bare_attention alpha X x_q j
  = conv_nd W bias (fun t => smoothing E alpha X (real R t)) j.
Proof. by rewrite /bare_attention conv_attention_smoothing bare_convolution. Qed.

Section Input.
Variable n : 'I_d -> nat.             (* the last pixel of the input *)

Definition is_output j := forall a,
  (stride a * j a + dilation a * kappa a <= n a + before a + after a)%N.

(* Padding tokens on the canvas: the tokens are the image, padded.            *)
Definition padded a := (n a + before a + after a)%N.

Definition on_padded (image : point d -> 'rV[R]_cin) (k : token padded) :=
  image (position k - natural before).

(* What self-attention on the padded image computes for output j.             *)
Definition padded_attention alpha image j : 'rV[R]_cout :=
  self_attention E (conv_heads alpha) bias encode (on_padded image)
    (nearest padded (query j)).

(* It is the layer of the main theorem, and all its targets are tokens. *)
Lemma padded_attentionE alpha image j : is_output j ->
  padded_attention alpha image j
  = conv_attention E centers Wval Wout u bias alpha (on_padded image)
      (on_padded image (nearest padded (query j))) (query j).
Proof.
move=> j_out; rewrite /padded_attention conv_attention_self position_nearest//.
apply/forallP => a; rewrite !mxE !lez_nat /=.
by rewrite (leq_trans _ (j_out a))// leq_add2l.
Qed.

Lemma padded_convolution image j : is_output j ->
  convolution centers W bias (nearest_extension (on_padded image)) (query j)
  = conv_nd W bias image j.
Proof.
move=> j_out; congr (_ + _); apply: eq_bigr => i _; congr (_ *m _).
rewrite /nearest_extension /on_padded target position_nearest//.
apply/forallP => a; rewrite !mxE !lez_nat /=.
by rewrite (leq_trans _ (j_out a))// leq_add2l leq_mul2l -ltnS ltn_ord orbT.
Qed.

(* The smoothing identity, in these words. *)
Theorem padded_smoothing alpha image j : is_output j ->
  padded_attention alpha image j
  = conv_nd W bias
      (fun t => smoothing E alpha (on_padded image) (real R (t + natural before))) j.
Proof.
move=> j_out; rewrite padded_attentionE// conv_attention_smoothing; congr (_ + _).
by apply: eq_bigr => i _; rewrite subrK target.
Qed.

Variables (X : token n -> 'rV[R]_cin) (B alpha : R) (j : 'I_d -> nat) (o : 'I_cout).
Hypotheses (X_le : bounded B X) (alpha_gt0 : 0 < alpha).

Let bound := weight_sum W o * (2%:R * B * leak_bound (E (- alpha)) d).

Lemma conv_padded image : bounded B image -> is_output j ->
  `|(padded_attention alpha image j - conv_nd W bias image j) 0 o| <= bound.
Proof.
move=> image_le j_out; rewrite padded_attentionE// -padded_convolution//.
by apply: attention_error_any_size => // k c; apply: image_le.
Qed.

Theorem conv_zeros : is_output j ->
  `|(padded_attention alpha (zero_extension X) j
     - conv_nd W bias (zero_extension X) j) 0 o| <= bound.
Proof. by apply: conv_padded; apply: zero_extension_bounded. Qed.

Theorem conv_reflect : is_output j ->
  `|(padded_attention alpha (reflect X) j - conv_nd W bias (reflect X) j) 0 o|
  <= bound.
Proof. by apply: conv_padded => t c; apply: X_le. Qed.

Theorem conv_circular : is_output j ->
  `|(padded_attention alpha (circular X) j - conv_nd W bias (circular X) j) 0 o|
  <= bound.
Proof. by apply: conv_padded => t c; apply: X_le. Qed.

(* No padding tokens: the tokens are the image; its border is replicated.     *)
Theorem conv_replicate x_q :
  `|(bare_attention alpha X x_q j - conv_nd W bias (nearest_extension X) j) 0 o|
  <= bound.
Proof. by rewrite -bare_convolution; apply: attention_error_any_size. Qed.

End Input.

(* One alpha for all sizes of the input, all images and all outputs.          *)
Theorem conv_converges (B eps : R) : 0 <= B -> 0 < eps ->
  exists alpha0, forall alpha, alpha0 <= alpha ->
  forall n image, bounded B image -> forall j o, is_output n j ->
  `|(padded_attention n alpha image j - conv_nd W bias image j) 0 o| <= eps.
Proof.
move=> B_ge0 eps_gt0.
have [alpha0 close] := attention_converges E centers Wval Wout u bias B_ge0 eps_gt0.
exists alpha0 => alpha alpha_ge n image image_le j o j_out.
rewrite padded_attentionE// -(padded_convolution _ j_out).
by apply: close => // k c; apply: image_le.
Qed.

Corollary conv_zeros_converges (B eps : R) : 0 <= B -> 0 < eps ->
  exists alpha0, forall alpha, alpha0 <= alpha ->
  forall n (X : token n -> 'rV[R]_cin), bounded B X -> forall j o, is_output n j ->
  `|(padded_attention n alpha (zero_extension X) j
     - conv_nd W bias (zero_extension X) j) 0 o| <= eps.
Proof.
move=> B_ge0 eps_gt0; have [alpha0 close] := conv_converges B_ge0 eps_gt0.
exists alpha0 => alpha alpha_ge n X X_le j o.
by apply: close => //; apply: zero_extension_bounded.
Qed.

(* The same without padding tokens, for replicate padding.                    *)
Theorem conv_replicate_converges (B eps : R) : 0 <= B -> 0 < eps ->
  exists alpha0, forall alpha, alpha0 <= alpha ->
  forall n (X : token n -> 'rV[R]_cin), bounded B X ->
  forall x_q j o,
  `|(bare_attention alpha X x_q j - conv_nd W bias (nearest_extension X) j) 0 o|
  <= eps.
Proof.
move=> B_ge0 eps_gt0.
have [alpha0 close] := attention_converges E centers Wval Wout u bias B_ge0 eps_gt0.
exists alpha0 => alpha alpha_ge n X X_le x_q j o.
by rewrite -bare_convolution; apply: close.
Qed.

End Conv.
