(******************************************************************************)
(* The exact worst case: the largest error over all bounded images.           *)
(*                                                                            *)
(* In words. A row r of weights and a number b turn inputs x into             *)
(* sum_i r_i x_i + b. Over all x with |x_i| <= B the absolute value of that   *)
(* is at most B sum_i |r_i| + |b|                          worst_case_bound   *)
(* and there is such an x that attains it: B times the signs of the row,      *)
(* all flipped if b is negative                         worst_case_attained   *)
(*                                                                            *)
(* Now the layer of the main theorem: one head for each tap, of strength      *)
(* alpha. For a query q a head has a target, q + Delta. Its probabilities at  *)
(* all tokens k, less 1 at the token nearest to the target, are its           *)
(* deviation; their absolute values add up to twice the leak:                 *)
(*   sum_k |deviation(k)| = 2 leak                                 row_norm   *)
(* The error in an output channel o is linear in the image:                   *)
(*   attention - convolution = sum_k sum_i c(k, i) X(k, i)        error_row   *)
(*   where c(k, i) = sum_tap deviation_tap(k) W_tap(i, o)       coefficient   *)
(* So the largest error over all images with |X| <= B is exactly              *)
(*   B sum_k sum_i |c(k, i)|                      error_exact, worst_case     *)
(* also where the queries are tokens                       self_error_exact   *)
(* It is at most each bound of the main theorem                               *)
(*                   worst_case_le, worst_case_leak, worst_case_any_size      *)
(* and equal to the first if only one tap leads to the channel o; with more   *)
(* taps deviations may cancel                            worst_case_one_tap   *)
(* All of this holds for every alpha, large or not; worst_case_any_size is    *)
(* stated for alpha > 0.                                                      *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers smoothing leak.
From Expressivity Require Import convergence.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Any linear form, over any finite set I of inputs, with a constant.         *)
Section LinearForm.
Variables (R : realFieldType) (I : finType) (r : I -> R) (b B : R).

Theorem worst_case_bound (x : I -> R) : (forall i, `|x i| <= B) ->
  `|\sum_i r i * x i + b| <= B * (\sum_i `|r i|) + `|b|.
Proof.
move=> x_le; apply: le_trans (ler_norm_add _ _) _; rewrite ler_add2r mulr_sumr.
apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => i _.
by rewrite normrM mulrC ler_wpmul2r.
Qed.

Theorem worst_case_attained : 0 <= B ->
  exists x : I -> R, (forall i, `|x i| <= B)
    /\ `|\sum_i r i * x i + b| = B * (\sum_i `|r i|) + `|b|.
Proof.
move=> B_ge0; pose sign (y : R) : R := (-1) ^+ (y < 0)%R.
exists (fun i => sign b * (sign (r i) * B)); split=> [i|].
  by rewrite !normrMsign ger0_norm.
have -> : \sum_i r i * (sign b * (sign (r i) * B)) + b
    = sign b * (B * (\sum_i `|r i|) + `|b|).
  rewrite mulrDr -numEsign !mulr_sumr; congr (_ + _); apply: eq_bigr => i _.
  rewrite [`|r i|]normrEsign mulrCA; congr (_ * _).
  by rewrite mulrA mulrC [r i * _]mulrC.
by rewrite normrMsign ger0_norm ?addr_ge0 ?mulr_ge0 ?sumr_ge0.
Qed.

End LinearForm.

(* The probabilities of a head with target t, less 1 at the nearest token.    *)
Section Deviation.
Variables (R : realFieldType) (e : R) (d : nat) (m : 'I_d -> nat).
Hypothesis e_gt0 : 0 < e.
Implicit Types (t : point d) (k : token m).

Definition deviation t k : R := powers e t k - (k == nearest m t)%:R.

Theorem row_norm t : \sum_k `|deviation t k| = 2%:R * leak e m t.
Proof.
rewrite (bigD1 (nearest m t))//= /deviation eqxx distrC -/(leak e m t).
rewrite (ger0_norm (leak_ge0 e_gt0 m t)) mulr_natl mulr2n; congr (_ + _).
rewrite -(off_target e_gt0); apply: eq_bigr => k /negPf->.
by rewrite subr0 ger0_norm ?powers_ge0.
Qed.

End Deviation.

Section Operator.
Variables (R : realFieldType) (E : exponential R).
Variables (d cin cout Dh : nat) (T : finType) (Delta : T -> point d).
Variables (Wval : T -> 'M[R]_(cin, Dh)) (Wout : T -> 'M[R]_(Dh, cout)).
Variables (u : 'rV[R]_(1 + d)) (bias : 'rV[R]_cout).
Variables (m : 'I_d -> nat) (alpha B : R) (q : point d) (o : 'I_cout).
Implicit Types (X : token m -> 'rV[R]_cin) (x_q : 'rV[R]_cin) (k : token m).

Let W tap := Wval tap *m Wout tap.
Let e := E (- alpha).
Let e_gt0 : 0 < e := expo_gt0 E (- alpha).

(* The error at the query q and in the output channel o, with its sign.       *)
Definition attention_less_convolution X x_q : R :=
  (conv_attention E Delta Wval Wout u bias alpha X x_q q
   - convolution Delta W bias (nearest_extension X) q) 0 o.
Local Notation error := attention_less_convolution.

(* What the error has of the entry i of the token k of the image.             *)
Definition coefficient k i : R := \sum_tap deviation e (q + Delta tap) k * W tap i o.

Definition worst_case : R := B * \sum_k \sum_i `|coefficient k i|.

(* One tap: the smoothed image less the image, through its matrix.            *)
Lemma tap_row X tap :
  ((smoothing E alpha X (real R (q + Delta tap))
    - nearest_extension X (q + Delta tap)) *m W tap) 0 o
  = \sum_k \sum_i deviation e (q + Delta tap) k * W tap i o * X k 0 i.
Proof.
set t := q + Delta tap.
have -> : smoothing E alpha X (real R t) - nearest_extension X t
    = \sum_k deviation e t k *: X k.
  have -> : nearest_extension X t = \sum_k (k == nearest m t)%:R *: X k.
    rewrite (bigD1 (nearest m t))//= eqxx scale1r big1 ?addr0// => k /negPf->.
    by rewrite scale0r.
  rewrite /smoothing -sumrB; apply: eq_bigr => k _.
  by rewrite -scalerBl probability_powers.
rewrite mulmx_suml summxE; apply: eq_bigr => k _.
rewrite mxE; apply: eq_bigr => i _.
by rewrite mxE -mulrA [X k 0 i * _]mulrC mulrA.
Qed.

Theorem error_row X x_q : error X x_q = \sum_k \sum_i coefficient k i * X k 0 i.
Proof.
rewrite /error conv_attention_smoothing /convolution opprD addrACA subrr add0r -sumrB.
rewrite summxE; under eq_bigr do rewrite -mulmxBl tap_row.
rewrite exchange_big; apply: eq_bigr => k _ /=.
rewrite exchange_big; apply: eq_bigr => i _ /=.
by rewrite mulr_suml.
Qed.

(* The query may have any content x_q, as it does not matter.                 *)
Theorem error_exact : 0 <= B ->
  (forall X x_q, bounded B X -> `|error X x_q| <= worst_case)
  /\ (exists2 X, bounded B X & forall x_q, `|error X x_q| = worst_case).
Proof.
move=> B_ge0; pose r (ki : token m * 'I_cin) := coefficient ki.1 ki.2.
have errorE X x_q : error X x_q = \sum_ki r ki * X ki.1 0 ki.2 + 0.
  by rewrite addr0 error_row pair_bigA.
have worstE : worst_case = B * (\sum_ki `|r ki|) + `|0 : R|.
  by rewrite normr0 addr0 /worst_case pair_bigA.
split=> [X x_q X_le|].
  by rewrite errorE worstE; apply: worst_case_bound => ki; apply: X_le.
have [x [x_le attained]] := worst_case_attained r 0 B_ge0.
exists (fun k => \row_i x (k, i)) => [k i|x_q]; first by rewrite mxE.
rewrite errorE worstE -attained; congr `|_ + _|; apply: eq_bigr => -[k i] _ /=.
by rewrite mxE.
Qed.

(* Twice the leak of each head, times its weights, is a bound.                *)
Theorem worst_case_le : 0 <= B ->
  worst_case <= \sum_tap (\sum_i `|W tap i o|) * (2%:R * B * leak e m (q + Delta tap)).
Proof.
move=> B_ge0; pose dev tap k := deviation e (q + Delta tap) k.
apply: (@le_trans _ _ (B * \sum_k \sum_i \sum_tap `|dev tap k| * `|W tap i o|)).
  apply: ler_wpmul2l => //; apply: ler_sum => k _; apply: ler_sum => i _.
  apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => tap _.
  by rewrite normrM.
rewrite exchange_big [\sum_i _]/=.
under eq_bigr do rewrite exchange_big /=.
rewrite exchange_big /= mulr_sumr; apply: ler_sum => tap _.
under eq_bigr do rewrite -mulr_suml (row_norm _ e_gt0).
by rewrite -mulr_sumr mulrA mulrC [B * _]mulrA [B * _]mulrC.
Qed.

Theorem worst_case_leak (largest : R) : 0 <= B ->
    (forall tap, leak e m (q + Delta tap) <= largest) ->
  worst_case <= weight_sum W o * (2%:R * B * largest).
Proof.
move=> B_ge0 leak_le; apply: le_trans (worst_case_le B_ge0) _.
rewrite mulr_suml; apply: ler_sum => tap _; apply: ler_wpmul2l.
  exact: sumr_ge0.
by apply: ler_wpmul2l; rewrite ?mulr_ge0 ?ler0n.
Qed.

Corollary worst_case_any_size : 0 <= B -> 0 < alpha ->
  worst_case <= weight_sum W o * (2%:R * B * leak_bound e d).
Proof.
move=> B_ge0 alpha_gt0; apply: worst_case_leak => // tap.
by apply: leak_any_size => //; rewrite expo_lt1// oppr_lt0.
Qed.

(* If no other tap leads to the channel, then there is nothing to cancel.     *)
Theorem worst_case_one_tap tap :
    (forall tap' i, tap' != tap -> W tap' i o = 0) ->
  worst_case = weight_sum W o * (2%:R * B * leak e m (q + Delta tap)).
Proof.
move=> alone.
have -> : weight_sum W o = \sum_i `|W tap i o|.
  rewrite /weight_sum (bigD1 tap)//= [X in _ + X]big1 ?addr0// => tap' ne.
  by rewrite big1// => i _; rewrite alone ?normr0.
have rowE k i : `|coefficient k i| = `|deviation e (q + Delta tap) k| * `|W tap i o|.
  rewrite -normrM /coefficient (bigD1 tap)//= big1 ?addr0// => tap' ne.
  by rewrite alone ?mulr0.
rewrite /worst_case; under eq_bigr do under eq_bigr do rewrite rowE.
under eq_bigr do rewrite -mulr_sumr.
by rewrite -mulr_suml row_norm// mulrA mulrC [B * _]mulrA [B * _]mulrC.
Qed.

End Operator.

(* The same for the tokens of the canvas, that is, for self-attention.        *)
Corollary self_error_exact (R : realFieldType) (E : exponential R)
    (d cin cout Dh : nat) (T : finType) (Delta : T -> point d)
    (Wval : T -> 'M[R]_(cin, Dh)) (Wout : T -> 'M[R]_(Dh, cout))
    (u : 'rV[R]_(1 + d)) (bias : 'rV[R]_cout)
    (m : 'I_d -> nat) (alpha B : R) (q : token m) (o : 'I_cout) :
  let heads := tap_heads alpha (fun tap => real R (Delta tap)) Wval Wout u in
  let error X :=
    (self_attention E heads bias (fun delta => encoding (real R delta)) X q
     - convolution Delta (fun tap => Wval tap *m Wout tap) bias
         (nearest_extension X) (position q)) 0 o in
  let worst := worst_case E Delta Wval Wout m alpha B (position q) o in
  0 <= B ->
  (forall X, bounded B X -> `|error X| <= worst)
  /\ (exists2 X, bounded B X & `|error X| = worst).
Proof.
move=> heads error worst B_ge0.
have [below [X X_le attained]] :=
  error_exact E Delta Wval Wout u bias m alpha (position q) o B_ge0.
have errorE Y : error Y = attention_less_convolution
    E Delta Wval Wout u bias alpha (position q) o Y (Y q).
  by rewrite /error conv_attention_self.
split=> [Y Y_le|]; first by rewrite errorE; apply: below.
by exists X; rewrite ?errorE.
Qed.
